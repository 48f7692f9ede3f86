"""Registries: what a config may name, in files that ship with vqclip and in other packages' entry points.

An entry is a frozen dataclass whose fields are its own keys in a config. Its module imports no torch at its top level:
a config that names it imports it, and so does `vqclip --help`'s way to the keys.
"""

import dataclasses
import pkgutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from vqclip.base.errors import ConfigError, shorten, suggest


@dataclass(frozen=True)
class Registry:
    """Entries of one kind by name. Those that ship win over other packages' of the same name."""

    kind: str
    group: str  # of entry points
    key: str  # of a config, which names entries
    shipped: Callable[[], Mapping[str, str]]  # names to module:Class
    optional: frozenset[str] = (
        frozenset()
    )  # keys that entries without them pass over: they once stood beside the name
    usual: str = ""  # the entry that an item of a list means without a `kind`

    def names(self) -> list[str]:
        """List the names, those that ship first; nothing is imported for it."""
        return list(self._points())

    def load(self, name: str) -> Any:
        """Import the dataclass of a name; raises ConfigError if there is none, or if it can't be imported."""
        points = self._points()
        if name not in points:
            known = ", ".join(points)
            raise ConfigError(
                f"{self.key}: there is no {self.kind} {shorten(name)}; the names are {known}{suggest(name, points)}"
            )
        return _loaded(points[name], self.kind)

    def load_kind(self, item: Any) -> Any:
        """Import the dataclass that an item of a list names by its `kind`; raises ConfigError as `load` does."""
        return self.load(str(item.get("kind", self.usual)) if isinstance(item, Mapping) else self.usual)

    def _points(self) -> dict[str, EntryPoint]:
        installed = _installed(self.group, tuple(sys.path))
        shipped = {name: EntryPoint(name, value, self.group) for name, value in self.shipped().items()}
        return shipped | {name: installed[name] for name in sorted(installed) if name not in shipped}


@cache
def _installed(group: str, path: tuple[str, ...]) -> dict[str, EntryPoint]:
    """Look through all installed packages, once for each state of sys.path: it takes 20 ms."""
    return {point.name: point for point in entry_points(group=group)}


@cache
def _loaded(point: EntryPoint, kind: str) -> Any:
    try:
        entry = point.load()
    except Exception as error:
        raise ConfigError(
            f"the {kind} {point.name!r} can't be imported from {point.value}: {error}; "
            "update or remove the package that has it"
        ) from error
    if not dataclasses.is_dataclass(entry):
        raise ConfigError(f"the {kind} {point.name!r} is no dataclass: {point.value}")
    return entry


@cache
def by_file(package: str) -> Mapping[str, str]:
    """The entries of a package that has one in each file: NearStart in near_start.py."""
    files = sorted(module.name for module in pkgutil.iter_modules(import_module(package).__path__))
    return {name: f"{package}.{name}:{name.title().replace('_', '')}" for name in files}


DRAWERS = Registry(
    "drawer", "vqclip.drawers", "drawer",
    lambda: {
        "vqgan": "vqclip.guidance.drawers.vqgan_config:VQGANConfig",
        "fft": "vqclip.guidance.drawers.fft_config:FFTConfig",
        "lines": "vqclip.guidance.drawers.lines_config:LinesConfig",
        "pixel": "vqclip.guidance.drawers.pixel_config:PixelConfig",
        "pyramid": "vqclip.guidance.drawers.pyramid_config:PyramidConfig",
    },
)  # fmt: skip
STARTS = Registry(
    "start", "vqclip.starts", "start",
    lambda: {
        "sketch": "vqclip.start.sketch_config:SketchStart",
        "codes": "vqclip.start.codes:CodesStart",
        "noise": "vqclip.start.noise:NoiseStart",
        "ascent": "vqclip.start.ascent:AscentStart",
        "gradient": "vqclip.start.gradient:GradientStart",
        "grey": "vqclip.start.grey:GreyStart",
        "transformer": "vqclip.start.transformer_config:TransformerStart",
        "prior": "vqclip.start.prior_config:PriorStart",
    },
    optional=frozenset({"sketchbook", "reader"}),
)  # fmt: skip
LOSSES = Registry("loss", "vqclip.losses", "losses", lambda: by_file("vqclip.guidance.losses"))
PERCEPTORS = Registry(
    "perceptor", "vqclip.perceptors", "perceptors",
    lambda: {"open_clip": "vqclip.guidance.perceptors.open_clip_config:OpenCLIPConfig"},
    usual="open_clip",
)  # fmt: skip
FILTERS = Registry("filter", "vqclip.filters", "filters", lambda: by_file("vqclip.guidance.filters"))
