"""Short forms of a config's values, and the long ones that they stand for.

`losses: {tv: 1}` is `losses: {tv: {weight: 1}}`, `drawer: fft` is `drawer: {name: fft}`, `start: noise` likewise,
`vqgan: NAME` is `drawer: {name: vqgan, model: NAME}`, and `sketchbook: NAME` is `start: {sketchbook: NAME}`.
"""

from collections.abc import Mapping
from typing import Any

from vqclip.base.errors import ConfigError, shorten

KEYS = ("vqgan", "sketchbook")  # of a config's top level


def spelled_out(layer: Mapping[str, Any]) -> dict[str, Any]:
    """The same layer without short forms. Values of a wrong type stay, to be refused with their key."""
    long = dict(layer)
    if isinstance(losses := layer.get("losses"), Mapping):
        long["losses"] = {name: _weighted(settings) for name, settings in losses.items()}
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
    if any(section.get(inner, value) != value for inner, value in short.items()):
        raise ConfigError(f"{key} and {name} say two things: {shorten(dict(section))} and {name}; give one")
    return {**section, **short}


def _weighted(settings: Any) -> Any:
    is_weight = settings is None or isinstance(settings, str | int | float)
    return {"weight": settings} if is_weight else settings
