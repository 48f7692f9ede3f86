"""Check every value of a config, in all its sections, against the rules of its key."""

import dataclasses
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, get_args, get_origin

from vqclip.config.conversion import fields
from vqclip.config.rules import check


def check_settings(node: Any, prefix: str = "") -> None:
    """Refuse a value that breaks its key's rules, in a dataclass or a section below it; raises ConfigError."""
    for name, is_section, rules in _leaves(node.__class__):
        value = getattr(node, name)
        if is_section and isinstance(value, list):
            for i, item in enumerate(value):
                _check_one(item, f"{prefix}{name}[{i}].")
        elif is_section and isinstance(value, dict):
            for term, item in value.items():
                _check_one(item, f"{prefix}{name}.{term}.")
        elif is_section:
            _check_one(value, f"{prefix}{name}.")
        elif rules:
            check(prefix + name, value, rules)


def _check_one(section: Any, prefix: str) -> None:
    (_check_section if _is_hashable(section.__class__) else check_settings)(section, prefix)


# A batch has thousands of Configs, and most of their sections are equal: each is looked at once.
_check_section = lru_cache(maxsize=4096)(check_settings)


@cache
def _leaves(schema: Any) -> tuple[tuple[str, bool, Mapping[str, Any]], ...]:
    """Name, whether it is a section or a list of sections, and rules of each field."""
    return tuple(
        (
            leaf.name,
            "choice" in leaf.metadata or any(map(dataclasses.is_dataclass, (hint, *get_args(hint)))),
            leaf.metadata,
        )
        for leaf, hint in fields(schema)
    )


@cache
def _is_hashable(schema: Any) -> bool:
    return not any(get_origin(hint) is list for _, hint in fields(schema))
