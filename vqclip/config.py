"""How a Config comes together: default < preset < file < settings < what the caller gives."""

import dataclasses
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_type_hints

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from vqclip import dotted, neutral, renames, seeds
from vqclip.errors import ConfigError, reason, suggest
from vqclip.resources import CONFIGS
from vqclip.schema import Config

log = logging.getLogger(__name__)

VERSION = 2  # of the keys, raised with every release that adds or renames some; without a number, it is 1


def resolve(
    given: Mapping[str, Any] | None = None,
    preset: str | None = None,
    file: Path | None = None,
    settings: Sequence[str] = (),
    draw: Callable[[], int] = seeds.draw,
) -> Config:
    """Merge default < preset < file < settings (KEY=VALUE) < given, check, and fix the seed, drawn where it is null.

    Raises ConfigError or PromptError, in one line.
    """
    layers = [_read_layer(CONFIGS / "default.yaml")]
    if preset is not None:
        layers.append(read_preset(preset))
    if file is not None:
        layers.append(_read_layer(file))
    layers += _modernise(map(_parse_setting, settings), "--set ")
    layers += _modernise([given or {}], "")
    return _build(_merge(_with_seed(layers, draw)))


def from_dict(values: Mapping[str, Any]) -> Config:
    """A Config of a complete mapping, such as `to_dict` gives or gave; raises ConfigError if it isn't one."""
    return _build(_merge([_unversioned(upgrade(values))]))


def to_dict(config: Config) -> dict[str, Any]:
    """Plain data of a Config, and the version of its keys."""
    return {"version": VERSION, **dataclasses.asdict(config)}


def upgrade(values: Mapping[str, Any]) -> dict[str, Any]:
    """A complete mapping in today's keys, whatever the version that wrote it; keys that it lacks become neutral.

    Raises ConfigError if a newer version wrote it. Keys and values are not checked.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"it is a {type(values).__name__}; a config is a mapping of keys to values")
    renamed = renames.with_new_names(_unversioned(values))
    return {"version": VERSION, **neutral.completed(renamed, Config)}


def dump(config: Config) -> str:
    """A Config as YAML that `resolve(file=...)` reads back."""
    return yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True)


def presets() -> list[str]:
    """Names of all presets, as `--preset` takes them."""
    folder = CONFIGS / "presets"
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


def keys() -> list[str]:
    """The dotted names of all keys and sections of a Config."""
    return list(_keys(Config))


def old_keys() -> list[str]:
    """The dotted names that keys had before and that are still read."""
    return [rename.old for rename in renames.RENAMES]


def read_preset(names: str) -> dict[str, Any]:
    """The layer of one preset, or of several joined by '+', the later ones winning."""
    known, merged = presets(), OmegaConf.create({})
    for name in names.split("+"):
        if name not in known:
            raise ConfigError(f"there is no preset {name!r}, only {', '.join(known)}{suggest(name, known)}")
        merged.merge_with(_read_layer(CONFIGS / "presets" / f"{name}.yaml"))
    return OmegaConf.to_container(merged)  # type: ignore[return-value]


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; raises ConfigError if it isn't one."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {reason(error)}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if values is not None and not isinstance(values, dict):
        raise ConfigError(f"{path} holds a {type(values).__name__}; a config is a mapping of keys to values")
    return values or {}


def _parse_setting(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text!r} is no KEY=VALUE; write for instance --set cutouts.count=32")
    try:
        # Only what can't be a plain word is YAML: it would read 0x3 as three and 1:30 as ninety.
        layer: Any = yaml.safe_load(value) if re.match(r"\s*([\[{]|(null|~)\s*$)", value) else value.strip()
    except yaml.YAMLError:
        raise ConfigError(
            f"--set {key.strip()}: {value!r} is not YAML; write [a, b] or {{key: value}}"
        ) from None
    nested: dict[str, Any] = {}
    dotted.put(nested, key.strip(), layer)
    return nested


def _read_layer(path: Path) -> dict[str, Any]:
    (layer,) = _modernise([read_yaml(path)], f"{path}: ")
    return layer


def _modernise(layers: Iterable[Mapping[str, Any]], place: str) -> list[dict[str, Any]]:
    """Layers that somebody wrote in one place, in today's keys; of every old name there, a warning says the new one."""
    plain = [_unversioned(layer, place) for layer in layers]
    try:
        for rename in renames.used(plain):
            log.warning("%s%s is now called %s; the old name still works", place, rename.old, rename.new)
    except ConfigError as error:
        raise ConfigError(f"{place}{error}") from None
    return [renames.with_new_names(layer) for layer in plain]


def _unversioned(values: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """The keys without the version, once that is known to be readable; raises ConfigError."""
    version = values.get("version", 1)
    if not isinstance(version, int) or version < 1:
        raise ConfigError(f"{place}version: {version!r} is none; leave the line out, or write {VERSION}")
    if version > VERSION:
        raise ConfigError(
            f"{place}version: {version} is that of a newer vqclip, and this one reads up to {VERSION}; update vqclip"
        )
    return {key: value for key, value in values.items() if key != "version"}


def _merge(layers: Sequence[Mapping[str, Any]]) -> DictConfig:
    """Lay mappings over each other under the schema's types."""
    for layer in layers:
        _check_keys(layer, Config)
    try:
        return OmegaConf.merge(OmegaConf.structured(Config), *map(_literal, layers))  # type: ignore[return-value]
    except OmegaConfBaseException as error:
        raise ConfigError(f"{error.full_key or 'config'}: {_first_line(error)}") from None


def _with_seed(layers: Sequence[Mapping[str, Any]], draw: Callable[[], int]) -> list[Mapping[str, Any]]:
    """The same layers with one concrete seed: the last that is given, or a drawn one where that is null."""
    seed = next((layer["seed"] for layer in reversed(layers) if "seed" in layer), None)
    seedless = [{key: value for key, value in layer.items() if key != "seed"} for layer in layers]
    return [*seedless, {"seed": draw() if seed is None else seed}]


def _build(merged: DictConfig) -> Config:
    try:
        return OmegaConf.to_object(merged)  # type: ignore[return-value]
    except MissingMandatoryValue as error:
        raise ConfigError(
            f"the config lacks {error.full_key}; `vqclip config show` prints a whole one"
        ) from None
    except OmegaConfBaseException as error:
        raise ConfigError(_first_line(error)) from None


def _first_line(error: OmegaConfBaseException) -> str:
    return str(error.msg or error).splitlines()[0]


def _literal(node: Any) -> Any:
    """The same data with `${` escaped: a prompt may speak of ${100}, and nothing here is interpolated."""
    match node:
        case Mapping():
            return {key: _literal(value) for key, value in node.items()}
        case list():
            return [_literal(item) for item in node]
        case str():
            return re.sub(r"(\\*)\$\{", r"\1\1\\${", node)
    return node


def _check_keys(layer: Any, schema: Any, prefix: str = "") -> None:
    """Refuse keys that the schema doesn't have, and plain values where it has keys."""
    if not isinstance(layer, Mapping):
        example = f"{prefix}{dataclasses.fields(schema)[0].name}"
        raise ConfigError(f"{prefix.rstrip('.')}: {layer!r} is one value; this takes keys, such as {example}")
    hints = get_type_hints(schema)
    for key, value in layer.items():
        if key not in hints:
            raise ConfigError(_unknown_key(f"{prefix}{key}"))
        item = next(iter(get_args(hints[key])), hints[key])
        if not dataclasses.is_dataclass(item):
            continue
        if item is hints[key]:
            _check_keys(value, item, f"{prefix}{key}.")
        else:
            for i, entry in enumerate(value if isinstance(value, list) else [value]):
                _check_keys(entry, item, f"{prefix}{key}[{i}].")


def _unknown_key(key: str) -> str:
    known = keys()
    leaf = key.rpartition(".")[2]
    alike = [name for name in known if name.rpartition(".")[2] == leaf]
    alike += [rename.new for rename in renames.RENAMES if rename.old.rpartition(".")[2] == leaf]
    hint = f"; did you mean {' or '.join(alike)}?" if alike else suggest(key, known)
    return f"there is no key {key!r} in a config{hint or '; `vqclip config show` prints them all'}"


def _keys(schema: Any, prefix: str = "") -> Iterator[str]:
    """The dotted names of all keys and sections under a dataclass; an item of a list is `[0]`."""
    for name, hint in get_type_hints(schema).items():
        item = next(iter(get_args(hint)), hint)
        yield prefix + name
        if dataclasses.is_dataclass(item):
            yield from _keys(item, f"{prefix}{name}{'' if item is hint else '[0]'}.")
