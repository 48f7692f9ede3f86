"""From plain data, as YAML, JSON, tables and command lines give it, to the types of a dataclass."""

import contextlib
import dataclasses
import math
import types
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, Union, get_args, get_origin, get_type_hints

from vqclip.base import seeds
from vqclip.base.errors import ConfigError, shorten
from vqclip.config.registry import Registry
from vqclip.config.schedule import LARGEST

_TRUE, _FALSE = ("true", "yes", "on", "y", "1"), ("false", "no", "off", "n", "0")


def build(schema: Any, values: Any, prefix: str = "") -> Any:
    """A dataclass of a mapping that has no other keys than its own; raises ConfigError, which says the key."""
    plan = _plan(schema)
    given = {name: convert(values[name], prefix + name) for name, _, convert in plan if name in values}
    if lacking := [name for name, is_needed, _ in plan if is_needed and name not in given]:
        raise ConfigError(_lacks(lacking, prefix))
    return schema(**given)


def _lacks(names: list[str], prefix: str) -> str:
    """Name the keys that a section lacks, and say what to type."""
    listed = " and ".join(names)
    if not prefix:
        return f"the config lacks {listed}; `vqclip config show` prints a whole one"
    if "[" in prefix:
        keys = ", ".join(f"{name}: {name.upper()}" for name in names)
        return f"{prefix.rstrip('.')} lacks {listed}; write keys with values, as in {{…, {keys}}}"
    advice = " ".join(f"--set {prefix}{name}={name.upper()}" for name in names)
    return f"{prefix.rstrip('.')} lacks {listed}; add {advice}"


@cache
def fields(schema: Any) -> tuple[tuple[dataclasses.Field[Any], Any], ...]:
    """Fields of a dataclass with their types."""
    hints = get_type_hints(schema)
    return tuple((field, hints[field.name]) for field in dataclasses.fields(schema))


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one mapping over another, section by section; neither is changed."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(below, value) if both else value  # type: ignore[arg-type]
    return merged


def check_text(text: str, name: str) -> str:
    """Refuse a text that no file could hold as UTF-8, and no system call could take; raises ConfigError."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"{name}: {shorten(text)} is no text in UTF-8; write it anew, or set LC_ALL=C.UTF-8"
        ) from None
    if "\0" in text:
        raise ConfigError(f"{name}: {shorten(text)} holds the sign NUL, which no text may")
    return text


Converter = Callable[[Any, str], Any]


@cache
def _plan(schema: Any) -> list[tuple[str, bool, Converter]]:
    """Name of each field, whether it must be given, and what converts its value."""
    return [(field.name, _is_needed(field), _field_converter(field, hint)) for field, hint in fields(schema)]


def _is_needed(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _field_converter(field: dataclasses.Field[Any], hint: Any) -> Converter:
    """What converts a field's value; entries of a registry have dataclasses of their own."""
    if registry := field.metadata.get("registry"):
        return partial(_entries, registry)
    if registry := field.metadata.get("choice"):
        return partial(_choice, registry)
    if registry := field.metadata.get("items"):
        return partial(_list, partial(_item, registry))
    if field.metadata.get("words"):
        return partial(_needed, _seed)
    if spellings := field.metadata.get("spellings"):
        return partial(_needed, partial(_spelled, spellings))
    return _converter(hint)


def _converter(hint: Any) -> Converter:
    """What makes a type of plain data, and says the key of what it refuses."""
    if get_origin(hint) in (types.UnionType, Union):
        (kind,) = (kind for kind in get_args(hint) if kind is not types.NoneType)
        return partial(_optional, _converter(kind))
    if dataclasses.is_dataclass(hint):
        return partial(_section, hint)
    if get_origin(hint) is list:
        return partial(_list, _converter(*get_args(hint)))
    return partial(_needed, _CONVERTERS[hint])


def _entries(registry: Registry, values: Any, name: str) -> dict[str, Any]:
    """Each entry of a mapping by the dataclass that its name means."""
    return {
        entry: _section(registry.load(entry), value, f"{name}.{entry}") for entry, value in values.items()
    }


def _choice(registry: Registry, value: Any, name: str) -> Any:
    """The one entry that a mapping names, with its own keys."""
    if dataclasses.is_dataclass(value):
        return value
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        raise ConfigError(f"{name}: {shorten(value)} names none; write one of {', '.join(registry.names())}")
    schema = registry.load(value["name"])
    own = {field.name for field, _ in fields(schema)}
    if unknown := [key for key in value if key not in own | registry.optional]:
        known = ", ".join(sorted(own - {"name"})) or "none"
        raise ConfigError(
            f"{name}: the {registry.kind} {value['name']} has no key {shorten(unknown[0])}; its keys: {known}"
        )
    return build(schema, value, f"{name}.")


def _item(registry: Registry, value: Any, name: str) -> Any:
    """An item of a list by the dataclass that its kind means."""
    return value if dataclasses.is_dataclass(value) else build(registry.load_kind(value), value, f"{name}.")


def _section(schema: Any, value: Any, name: str) -> Any:
    """A section, unless it is one already."""
    return value if isinstance(value, schema) else build(schema, value, f"{name}.")


def _optional(convert: Converter, value: Any, name: str) -> Any:
    return None if value is None else convert(value, name)


def _needed(convert: Converter, value: Any, name: str) -> Any:
    if value is None:
        raise ConfigError(f"{name}: null is no value here; leave the key out, or give it one")
    return convert(value, name)


def _list(convert: Converter, value: Any, name: str) -> list[Any]:
    """One value stands for a list of it."""
    items = value if isinstance(value, list | tuple) else [value]
    return [convert(item, f"{name}[{i}]") for i, item in enumerate(items)]


def _text(value: Any, name: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ConfigError(f"{name}: {shorten(value)} is no text; put a text in double quotes")
    return check_text(str(value), name)  # a number may be a prompt, or a constant schedule


def _spelled(spellings: Mapping[str, str], value: Any, name: str) -> str:
    """A text under the name that the config keeps for it."""
    text = _text(value, name)
    return spellings.get(text.strip().lower(), text)


def as_text(value: Any, name: str) -> str:
    """A text that must be given; raises ConfigError under the name of its key."""
    text: str = _needed(_text, value, name)
    return text


def _whole(value: Any, name: str) -> int:
    with contextlib.suppress(ValueError):
        if isinstance(value, int | str) and not isinstance(value, bool):
            return int(value)
    raise ConfigError(f"{name}: {shorten(value)} is no whole number; write one as in 7")


def _seed(value: Any, name: str) -> int:
    """A whole number, or the one that words stand for."""
    if isinstance(value, str) and (seed := seeds.of_words(check_text(value, name))) is not None:
        return seed
    try:
        return _whole(value, name)
    except ConfigError:
        raise ConfigError(
            f"{name}: {shorten(value)} is no whole number; write one as in 7, or words that begin with a letter"
        ) from None


def _number(value: Any, name: str) -> float:
    try:
        is_one = isinstance(value, int | float | str) and not isinstance(value, bool)
        number = float(value) if is_one else None
    except OverflowError:
        number = math.inf
    except ValueError:
        number = None
    if number is None:
        raise ConfigError(f"{name}: {shorten(value)} is no number; write one as in 0.5")
    if not abs(number) <= LARGEST:
        raise ConfigError(f"{name}: {number} is out of range; no number may exceed {LARGEST:g}")
    return number


def _truth(value: Any, name: str) -> bool:
    word = str(value).strip().lower() if isinstance(value, bool | int | str) else ""
    if word not in _TRUE + _FALSE:
        raise ConfigError(f"{name}: {shorten(value)} is neither true nor false; write one of these")
    return word in _TRUE


_CONVERTERS: dict[Any, Converter] = {str: _text, int: _whole, float: _number, bool: _truth}
