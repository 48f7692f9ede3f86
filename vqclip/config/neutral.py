"""Neutral values: what a config means by the keys that it lacks, as it was written before they existed.

They stand in the metadata of a dataclass's fields. Keys without one are as old as the first configs.
"""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any, get_args, get_type_hints

from vqclip.config.registry import Registry
from vqclip.config.schedule import Schedule

_ABSENT: Any = object()


def counted(node: Any) -> Any:
    """Plain data of a dataclass without its neutral values: what a digest is over."""
    if isinstance(node, list):
        return [counted(item) for item in node]
    if isinstance(node, Mapping):
        return {name: counted(item) for name, item in node.items()}
    if not dataclasses.is_dataclass(node):
        return node
    values = {leaf: getattr(node, leaf.name) for leaf in dataclasses.fields(node)}
    kept = {
        leaf.name: counted(value) for leaf, value in values.items() if not _is_neutral(value, leaf.metadata)
    }
    return {name: value for name, value in kept.items() if value != {}}  # sections of neutral keys only


def completed(values: Any, schema: Any) -> Any:
    """The same mapping, in a dataclass's order, with neutral values for the keys that it lacks.

    What is no mapping stays as it is, and so do keys that the dataclass doesn't have.
    """
    if not isinstance(values, Mapping):
        return values
    hints = get_type_hints(schema)
    rules = {leaf.name: leaf.metadata for leaf in dataclasses.fields(schema)}
    known = {name: _complete(values.get(name, _ABSENT), hints[name], rules[name]) for name in rules}
    unknown = {name: value for name, value in values.items() if name not in rules}
    return {name: value for name, value in known.items() if value is not _ABSENT} | unknown


def is_whole(values: Any, schema: Any, besides: Collection[str] = ()) -> bool:
    """Whether a mapping has all keys of a dataclass that have no neutral value, but for those `besides`."""
    hints = get_type_hints(schema)
    needed = [
        leaf
        for leaf in dataclasses.fields(schema)
        if "neutral" not in leaf.metadata and leaf.name not in besides
    ]
    return isinstance(values, Mapping) and all(
        is_whole(
            values.get(leaf.name, {}), hints[leaf.name]
        )  # a section may be younger than the first configs
        if dataclasses.is_dataclass(hints[leaf.name])
        else leaf.name in values
        for leaf in needed
    )


def _complete(value: Any, hint: Any, rules: Mapping[str, Any]) -> Any:
    """A key's value, completed if it is a section or a list of sections, or _ABSENT if it has none."""
    if value is _ABSENT and "neutral" in rules:
        return rules["neutral"]
    if registry := rules.get("registry"):
        return _complete_entries({} if value is _ABSENT else value, registry)
    if (registry := rules.get("choice")) and isinstance(value, Mapping) and "name" in value:
        schema = registry.load(value["name"])
        own = {leaf.name for leaf in dataclasses.fields(schema)}
        passed_over = registry.optional - own
        return completed({key: entry for key, entry in value.items() if key not in passed_over}, schema)
    item = next(iter(get_args(hint)), hint)
    if not dataclasses.is_dataclass(item):
        return value
    if item is hint:
        return completed({} if value is _ABSENT else value, item) or _ABSENT
    return _complete_items(value, item, rules.get("items"))


def _complete_entries(values: Any, registry: Registry) -> Any:
    if not isinstance(values, Mapping):
        return values
    return {name: completed(entry, registry.load(name)) for name, entry in values.items()}


def _complete_items(values: Any, schema: Any, registry: Registry | None) -> Any:
    """The items of a list, each by the dataclass that its kind means, where there is a registry."""
    if not isinstance(values, list):
        return values
    return [completed(item, registry.load_kind(item) if registry else schema) for item in values]


def _is_neutral(value: Any, rules: Mapping[str, Any]) -> bool:
    if "neutral" not in rules:
        return False
    if rules.get("schedule") and None not in (value, rules["neutral"]):
        return Schedule.parse(value) == Schedule.parse(rules["neutral"])
    return bool(value == rules["neutral"])
