"""List the keys that a config may have, and refuse others with a hint at the one that is meant."""

import dataclasses
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, get_args

from vqclip.base.errors import ConfigError, shorten, suggest
from vqclip.config import renames, shorthands
from vqclip.config.conversion import fields
from vqclip.config.registry import Registry
from vqclip.config.schema import Config


def keys() -> list[str]:
    """Return the dotted names of all keys and sections of a Config."""
    return list(dict.fromkeys([*_keys(Config), *shorthands.KEYS]))


def added_keys() -> set[str]:
    """Return the keys of a config's top level that the first configs didn't have."""
    return {leaf.name for leaf in dataclasses.fields(Config) if "neutral" in leaf.metadata}


def old_keys() -> list[str]:
    """Return the old dotted names of keys, which are still read."""
    return [rename.old for rename in renames.RENAMES]


def check_keys(layer: Any, schema: Any, prefix: str = "") -> None:
    """Refuse keys that the schema doesn't have, and plain values where it has keys; raises ConfigError."""
    if not isinstance(layer, Mapping):
        example = f"{prefix}{_first_key(schema)}"
        raise ConfigError(
            f"{prefix.rstrip('.')}: {shorten(layer)} is one value; this takes keys, such as {example}"
        )
    hints = {field.name: hint for field, hint in fields(schema)}
    rules = {field.name: field.metadata for field, _ in fields(schema)}
    for key, value in layer.items():
        if key not in hints:
            raise ConfigError(_unknown_key(f"{prefix}{key}"))
        if registry := rules[key].get("registry"):
            _check_entries(value, registry)
            continue
        if registry := rules[key].get("items"):
            for i, entry in enumerate(value if isinstance(value, list) else [value]):
                check_keys(entry, registry.load_kind(entry), f"{prefix}{key}[{i}].")
            continue
        item = next(iter(get_args(hints[key])), hints[key])
        if not dataclasses.is_dataclass(item):
            continue
        if item is hints[key]:
            check_keys(value, item, f"{prefix}{key}.")
        else:
            for i, entry in enumerate(value if isinstance(value, list) else [value]):
                check_keys(entry, item, f"{prefix}{key}[{i}].")


def _first_key(schema: Any) -> str:
    """The first key of a dataclass that must be given, or the first of all."""
    keys = dataclasses.fields(schema)
    return next((field.name for field in keys if field.default is dataclasses.MISSING), keys[0].name)


def _check_entries(values: Any, registry: Registry) -> None:
    """Refuse entries that a registry doesn't have, and keys that these don't have."""
    if not isinstance(values, Mapping):
        example = f"{registry.key}.{registry.names()[0]}"
        raise ConfigError(
            f"{registry.key}: {shorten(values)} is one value; this takes keys, such as {example}"
        )
    for name, entry in values.items():
        check_keys(entry, registry.load(name), f"{registry.key}.{name}.")


@cache
def _unknown_key(key: str) -> str:
    known = keys()
    leaf = key.rpartition(".")[2]
    alike = [name for name in known if name.rpartition(".")[2] == leaf]
    alike += [rename.new for rename in renames.RENAMES if rename.old.rpartition(".")[2] == leaf]
    hint = f"; did you mean {' or '.join(alike)}?" if alike else suggest(key, known)
    return f"there is no key {shorten(key)} in a config{hint or '; `vqclip config show` prints them all'}"


def _keys(schema: Any, prefix: str = "") -> Iterator[str]:
    """Return the dotted names of all keys and sections of a dataclass. An item of a list is `[0]`."""
    for field, hint in fields(schema):
        name, item = field.name, next(iter(get_args(hint)), hint)
        yield prefix + name
        if registry := field.metadata.get("registry"):
            for entry in registry.names():
                yield f"{prefix}{name}.{entry}"
                yield from _keys(registry.load(entry), f"{prefix}{name}.{entry}.")
        elif registry := field.metadata.get("choice"):
            for entry in registry.names():
                yield from _keys(registry.load(entry), f"{prefix}{name}.")
        elif registry := field.metadata.get("items"):
            for entry in registry.names():
                yield from _keys(registry.load(entry), f"{prefix}{name}[0].")
        elif dataclasses.is_dataclass(item):
            yield from _keys(item, f"{prefix}{name}{'' if item is hint else '[0]'}.")
