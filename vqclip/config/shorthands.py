"""Short forms of a config's values, and the long ones that they stand for.

`losses: {tv: 1}` is `losses: {tv: {weight: 1}}`, and other programs' names of losses are read as ours (see aliases).
`palette: pico8` is `palette: {colours: [pico8]}`, and `upscale: 2` is `upscale: {factor: 2}`. In a list of filters,
`wallpaper:p4m` is `{kind: wallpaper, group: p4m}`, with the filter's first own key. `drawer: fft` is
`drawer: {name: fft}`, `start: noise` likewise, `vqgan: NAME` is `drawer: {name: vqgan, model: NAME}`, and
`sketchbook: NAME` is `start: {sketchbook: NAME}`.
"""

from collections.abc import Mapping
from typing import Any

from vqclip.base.errors import ConfigError, shorten
from vqclip.config import aliases
from vqclip.config.conversion import as_text, fields
from vqclip.config.registry import FILTERS
from vqclip.config.schedule import Schedule

KEYS = ("vqgan", "sketchbook")  # of a config's top level


def spelled_out(layer: Mapping[str, Any]) -> dict[str, Any]:
    """The same layer without short forms. Values of a wrong type stay, to be refused with their key."""
    long = dict(layer)
    if isinstance(losses := layer.get("losses"), Mapping):
        named = aliases.of_losses(losses)
        long["losses"] = {name: _weighted(name, settings) for name, settings in named.items()}
    if isinstance(palette := layer.get("palette"), str | list | tuple):
        long["palette"] = {"colours": palette}
    if isinstance(factor := layer.get("upscale"), int | str):
        long["upscale"] = {"factor": factor}
    if isinstance(filters := layer.get("filters"), str | list | tuple):
        items = [filters] if isinstance(filters, str) else filters
        long["filters"] = [_filter(item) for item in items]
    for key in ("drawer", "start"):
        if isinstance(layer.get(key), str):
            long[key] = {"name": layer[key]}
    if "vqgan" in long:
        long["drawer"] = _joined(long, "drawer", {"name": "vqgan", "model": long.pop("vqgan")}, "vqgan")
    if "sketchbook" in long:
        long["start"] = _joined(long, "start", {"sketchbook": long.pop("sketchbook")}, "sketchbook")
    return long


def _joined(layer: Mapping[str, Any], key: str, short: Mapping[str, Any], name: str) -> Any:
    """A section with what a short form adds to it; raises ConfigError where both say the same key differently."""
    section = layer.get(key, {})
    if not isinstance(section, Mapping):
        return section
    for inner, value in short.items():
        if inner != "name":
            as_text(value, name)  # refused under the name that was typed
    if any(section.get(inner, value) != value for inner, value in short.items()):
        raise ConfigError(f"{key} and {name} say two things: {shorten(dict(section))} and {name}; give one")
    return {**section, **short}


def _weighted(name: str, settings: Any) -> Any:
    """A loss's keys; a weight alone is refused under the name that was typed."""
    if settings is not None and not isinstance(settings, str | int | float):
        return settings
    Schedule.parse(as_text(settings, f"losses.{name}"), f"losses.{name}")
    return {"weight": settings}


def _filter(item: Any) -> Any:
    """An item of `filters`, which may be written NAME or NAME:VALUE."""
    if not isinstance(item, str):
        return item
    name, _, value = item.partition(":")
    kind = {"kind": name.strip()}
    if not value:
        return kind
    first = next(field.name for field, _ in fields(FILTERS.load(name.strip())) if field.name != "kind")
    return kind | {first: value.strip()}
