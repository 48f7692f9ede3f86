"""Values in nested mappings, by dotted keys: 'a.b' is b in {'a': {'b': 1}}."""

from collections.abc import Mapping
from typing import Any

from vqclip.base.errors import ConfigError


def has(values: Any, key: str) -> bool:
    """Tell whether nested mappings have a dotted key, be its value a section or a leaf."""
    section, _, below = key.partition(".")
    return isinstance(values, Mapping) and section in values and (not below or has(values[section], below))


def copied(values: Mapping[str, Any]) -> dict[str, Any]:
    """Copy nested mappings, so that `put` and `take` leave the given ones as they are; their values are shared."""
    return {key: copied(value) if isinstance(value, Mapping) else value for key, value in values.items()}


def put(into: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key in nested mappings, making sections on the way; raises ConfigError if one is a plain value."""
    *sections, leaf = key.split(".")
    for section in sections:
        below = into.setdefault(section, {})
        if not isinstance(below, dict):
            raise ConfigError(f"{section}: {below!r} is one value, and {key!r} asks for keys of it")
        into = below
    into[leaf] = value


def take(values: dict[str, Any], key: str) -> Any:
    """Remove a dotted key that is there, and the sections that become empty by this; returns its value."""
    section, _, below = key.partition(".")
    if not below:
        return values.pop(section)
    taken = take(values[section], below)
    if not values[section]:
        del values[section]
    return taken
