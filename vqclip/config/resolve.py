"""Make a Config by merging default < recipe < style < preset < file < settings < what the caller gives."""

import dataclasses
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, reduce
from pathlib import Path
from typing import Any

from vqclip.base import seeds
from vqclip.base.errors import ConfigError, in_words, shorten, suggest
from vqclip.base.paths import CONFIGS
from vqclip.config import dotted, neutral, region, renames, shorthands, sizes, styles, together, yaml12
from vqclip.config import presets as preset_files
from vqclip.config.conversion import build, fields, merge
from vqclip.config.known_keys import check_keys
from vqclip.config.prompt import Kind
from vqclip.config.recipes import recipe_of
from vqclip.config.registry import DRAWERS
from vqclip.config.schema import Config

log = logging.getLogger(__name__)

VERSION = 2  # of the keys, raised with every release that adds or renames some; without a number, it is 1


_CHOICES = [field.name for field, _ in fields(Config) if "choice" in field.metadata]


def resolve(
    given: Mapping[str, Any] | None = None,
    preset: str | None = None,
    file: Path | None = None,
    settings: Sequence[str] = (),
    draw: Callable[[], int] = seeds.draw,
) -> Config:
    """Merge default < recipe < style < preset < file < settings (KEY=VALUE) < given, check, and draw a missing seed.

    The recipe and the style are those that the layers above them choose in the end.

    Raises ConfigError or PromptError, in one line.
    """
    return base(preset, file, settings).resolve(given or {}, draw=draw)


@dataclass(frozen=True)
class _Ground:
    """Plain data that many Configs share. Its keys are checked, and its sections converted, once."""

    values: Mapping[str, Any]

    @cached_property
    def sections(self) -> dict[str, Any]:
        return {
            field.name: build(hint, self.values[field.name], f"{field.name}.")
            for field, hint in fields(Config)
            if dataclasses.is_dataclass(hint)
        }


@dataclass(frozen=True)
class Base:
    """The layers above a recipe that many Configs share, with known keys; each recipe is laid under them once."""

    above: Mapping[str, Any]

    @cached_property
    def _recipe_of(self) -> Callable[[str], str]:
        return cache(recipe_of)

    @cached_property
    def _on(self) -> Callable[[str, str | None], _Ground]:
        """What lies on a recipe and a style, by their names; the recipe's is empty where the drawer has none."""
        default = _shipped("default.yaml")
        return cache(
            lambda recipe, style: _Ground(
                _lay(default, read_preset(recipe) if recipe else {}, *_of_style(style), self.above)
            )
        )

    def resolve(
        self, given: Mapping[str, Any], settings: Sequence[str] = (), draw: Callable[[], int] = seeds.draw
    ) -> Config:
        """Merge settings and what the caller gives over this, as the function `resolve` does."""
        above = _lay(*_modernise(map(_parse_setting, settings), "--set "), *_modernise([given], ""))
        merged = reduce(_over, (_shipped("default.yaml"), self.above, above))
        style = merged["style"] if isinstance(merged["style"], str) else None
        drawer = reduce(_over, (_shipped("default.yaml"), *_of_style(style), self.above, above))["drawer"]
        by_card = drawer["name"] == "vqgan"
        recipe = self._recipe_of(str(drawer["model"])) if by_card else DRAWERS.load(drawer["name"]).recipe
        ground = self._on(recipe, style)
        untouched = {name: section for name, section in ground.sections.items() if name not in above}
        values = _over(ground.values, above) | untouched
        if values.get("seed") is None:
            values["seed"] = draw()
        config: Config = build(Config, styles.applied(sizes.in_pixels(values)))
        for prompt in config.parsed_prompts:
            if prompt.kind is Kind.TEXT and prompt.region is None:
                _warn_of_region(prompt.body, region.misspelt)
        for line in config.prompts:
            _warn_of_region(line, region.misplaced)
        together.check_direction(config)
        return config


@cache
def _warn_of_region(text: str, slip: Callable[[str], str]) -> None:
    """Warn, once for each text, of a slip in how a region is written."""
    if line := slip(text):
        log.warning("prompt %r: %s", text, line)


def base(preset: str | None = None, file: Path | None = None, settings: Sequence[str] = ()) -> Base:
    """Merge preset < file < settings. Raises ConfigError."""
    layers: list[Mapping[str, Any]] = []
    if preset is not None:
        layers.append(read_preset(preset))
    if file is not None:
        layers.append(_read_layer(file))
    return Base(_lay(*layers, *_modernise(map(_parse_setting, settings), "--set ")))


def from_dict(values: Mapping[str, Any]) -> Config:
    """Make a Config from a complete mapping, as `to_dict` returns it. Raises ConfigError."""
    return build(Config, _lay(_unversioned(upgrade(values))))


def to_dict(config: Config) -> dict[str, Any]:
    """Return a Config as plain data, with the version of its keys."""
    return {"version": VERSION, **dataclasses.asdict(config)}


def upgrade(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a mapping of any version in today's keys. Keys that it lacks get their neutral values.

    Raises ConfigError if a newer version wrote it. Keys and values are not checked.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"it is {in_words(values)}, and a config is keys with values, as in steps: 60")
    renamed = renames.with_new_names(shorthands.spelled_out(_unversioned(values)))
    return {"version": VERSION, **neutral.completed(renamed, Config)}


def dump(config: Config) -> str:
    """Return a Config as YAML, which `resolve(file=...)` reads back."""
    return yaml12.dump(to_dict(config))


def presets() -> list[str]:
    """Return the names of the presets that ship with vqclip, as `--preset` takes them."""
    return list(preset_files.shipped())


def read_preset(names: str) -> dict[str, Any]:
    """Read one preset, or several joined by '+', of which later ones win; the user's own among them."""
    return _read_presets(names, ())


def _read_presets(names: str, extending: tuple[str, ...]) -> dict[str, Any]:
    shipped = preset_files.shipped()
    files = {**preset_files.own(), **shipped}
    for name in names.split("+"):
        if name not in files:
            known = ", ".join(files)
            raise ConfigError(f"there is no preset {shorten(name)}, only {known}{suggest(name, files)}")
    return _lay(*(
        _shipped(f"presets/{name}.yaml") if name in shipped else _own(name, files[name], extending)
        for name in names.split("+")
    ))  # fmt: skip


def _own(name: str, path: Path, extending: tuple[str, ...]) -> dict[str, Any]:
    """A preset of the user, over the one that it extends, if any; `extending` are those that extend it."""
    if name in extending:
        raise ConfigError(f"{path}: the preset extends itself, by {' and '.join(extending)}")
    values = read_yaml(path)
    below = values.pop("extends", None)
    if below is not None and not isinstance(below, str):
        raise ConfigError(
            f"{path}: extends: {shorten(below)} is no preset's name; write one, as in extends: draft"
        )
    layer = _layer(values, f"{path}: ")
    try:
        return _lay(*([_read_presets(below, (*extending, name))] if below else []), layer)
    except ConfigError as error:
        raise error if str(error).startswith(str(path)) else ConfigError(f"{path}: {error}") from None


def _of_style(style: str | None) -> list[dict[str, Any]]:
    return _modernise(styles.settings(style), f"style {style}: ")


@cache
def _shipped(name: str) -> dict[str, Any]:
    """A layer that ships, over the preset that it extends, if any."""
    values = read_yaml(CONFIGS / name)
    below = [read_preset(values.pop("extends"))] if "extends" in values else []
    return _lay(*below, *_modernise([values], f"{CONFIGS / name}: "))


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the mapping in a YAML file. Raises ConfigError if it holds anything else."""
    values = yaml12.read(path)
    if values is not None and not isinstance(values, dict):
        raise ConfigError(
            f"{path} holds {in_words(values)}, and a config is keys with values, as in steps: 60"
        )
    return values or {}


def _parse_setting(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text!r} is no KEY=VALUE; write for instance --set cutouts.count=32")
    # Only what can't be a plain word is YAML: a prompt may begin with an exclamation mark.
    is_yaml = re.match(r"\s*([\[{]|(null|~)\s*$)", value)
    try:
        layer: Any = yaml12.parse(_hashes_quoted(value)) if is_yaml else value.strip()
    except ConfigError as error:
        raise ConfigError(f"--set {key.strip()}={value}: {error}") from None
    nested: dict[str, Any] = {}
    dotted.put(nested, key.strip(), layer)
    return nested


def _hashes_quoted(value: str) -> str:
    """YAML that fills one line, where # begins a colour such as #00f, not a comment, if nothing there is quoted."""
    return value if re.search("[\"']", value) else re.sub(r"(?<=[\[,\s])#\w+", r'"\g<0>"', value)


def _read_layer(path: Path) -> dict[str, Any]:
    """A user's file. One that says all that the first configs did was written by `dump`, and hangs on no recipe."""
    return _layer(read_yaml(path), f"{path}: ")


def _layer(values: Mapping[str, Any], place: str) -> dict[str, Any]:
    (layer,) = _modernise([values], place)
    is_whole = neutral.is_whole(layer, Config, besides=("prompts", "seed"))
    return neutral.completed(layer, Config) if is_whole else layer


def _modernise(layers: Iterable[Mapping[str, Any]], place: str) -> list[dict[str, Any]]:
    """Rename old keys in layers of one origin, without short forms. A warning names each old key and its new name."""
    plain = [shorthands.spelled_out(_unversioned(layer, place)) for layer in layers]
    try:
        for rename in renames.used(plain):
            log.warning("%s%s is now called %s; the old name still works", place, rename.old, rename.new)
    except ConfigError as error:
        raise ConfigError(f"{place}{error}") from None
    return [renames.with_new_names(layer) for layer in plain]


def _unversioned(values: Mapping[str, Any], place: str = "") -> dict[str, Any]:
    """Return the keys without the version. Raises ConfigError if this vqclip can't read that version."""
    version = values.get("version", 1)
    if not isinstance(version, int) or version < 1:
        raise ConfigError(f"{place}version: {version!r} is none; leave the line out, or write {VERSION}")
    if version > VERSION:
        raise ConfigError(
            f"{place}version: {version} is that of a newer vqclip, and this one reads up to {VERSION}; update vqclip"
        )
    return {key: value for key, value in values.items() if key != "version"}


def _lay(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Check the keys of layers, and merge each over the one before."""
    for layer in layers:
        check_keys(layer, Config)
    return reduce(_over, layers, {})


def _over(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one layer over another; where it names another drawer or start, the keys of the one below go."""
    for key in _CHOICES:
        names = [layer[key].get("name") for layer in (under, over) if isinstance(layer.get(key), Mapping)]
        if len(names) == 2 and names[1] not in (None, names[0]):
            under = {name: value for name, value in under.items() if name != key}
    return merge(under, over)
