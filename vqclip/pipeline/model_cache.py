"""Cache the networks of one device, so that several Pipelines load each once."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from vqclip.base.errors import WeightsError, cause
from vqclip.base.paths import expand
from vqclip.guidance.interfaces import Perceptor, PerceptorEntry
from vqclip.models.transformer.loading import LoadedTransformer, load_transformer
from vqclip.models.upscaler import Upscaler, find_upscaler, load_upscaler
from vqclip.models.vqgan import VQGAN
from vqclip.models.vqgan_loading import load_vqgan
from vqclip.start.sketchbook import Sketchbook, load_sketchbook

Kept = TypeVar("Kept")


class ModelCache:
    """Load models and keep them, CLIPs' text towers included; raises WeightsError if one is unavailable.

    It downloads models only with `pull`.
    """

    def __init__(
        self, device: torch.device, pull: bool = False, locations: Mapping[str, str] | None = None,
        keeps_texts: bool = True,
    ):  # fmt: skip
        """`locations` maps models' names to files or folders other than those that the names mean.

        Without `keeps_texts` a Pipeline frees the text towers after it has embedded its prompts.
        """
        self.keeps_texts = keeps_texts
        self.device, self.pull, self.locations = device, pull, locations or {}
        self._vqgans: dict[tuple[str, torch.dtype], VQGAN] = {}
        self._sketchbooks: dict[str, Sketchbook] = {}
        self._perceptors: dict[tuple[str, torch.dtype], Perceptor] = {}
        self._transformers: dict[tuple[str, torch.dtype], LoadedTransformer] = {}
        self._upscalers: dict[str, Upscaler] = {}
        self._files: dict[tuple[Any, Path, int], Any] = {}

    def at(self, locations: Mapping[str, str]) -> "ModelCache":
        """Share the cache with a run that has `locations` of its own."""
        view = copy.copy(self)
        view.locations = {**self.locations, **locations}
        return view

    def vqgan(self, name: str, dtype: torch.dtype) -> VQGAN:
        location = self.locations.get(name, name)
        if (location, dtype) not in self._vqgans:
            vqgan = load_vqgan(location, self.device)
            self._vqgans[location, dtype] = vqgan.to(self.device, dtype)
        return self._vqgans[location, dtype]

    def perceptor(self, entry: PerceptorEntry, dtype: torch.dtype) -> Perceptor:
        """One for all entries that differ in their weights and numbers of crops alone."""
        located = replace(entry.at(self.locations), weight=1.0, crops=None)
        known = repr(located), dtype  # a key of an entry may be a list, which has no hash
        if known not in self._perceptors:
            self._perceptors[known] = located.open(self, dtype)
        return self._perceptors[known]

    def sketchbook(self, name: str) -> Sketchbook:
        location = self.locations.get(name, name)
        if location not in self._sketchbooks:
            self._sketchbooks[location] = load_sketchbook(location)
        return self._sketchbooks[location]

    def upscaler(self, name: str) -> Upscaler:
        location = self.locations.get(name, name)
        if location not in self._upscalers:
            self._upscalers[location] = load_upscaler(find_upscaler(location), self.device)
        return self._upscalers[location]

    def read(self, name: str, base: Path, load: Callable[[Path], Kept]) -> Kept:
        """Load a user's file by a function, or give what was loaded before, unless the file has changed since.

        A relative name begins at `base`.
        """
        path = expand(self.locations[name]) if name in self.locations else base / expand(name)
        try:
            known = load, path.absolute(), path.stat().st_mtime_ns
        except OSError as error:
            raise WeightsError(f"{path} can't be read: {cause(error)}") from None
        if known not in self._files:
            self._files[known] = load(path)
        kept: Kept = self._files[known]
        return kept

    def transformer(self, name: str, dtype: torch.dtype) -> LoadedTransformer:
        location = self.locations.get(name, name)
        if (location, dtype) not in self._transformers:
            self._transformers[location, dtype] = load_transformer(location, self.device, dtype)
        return self._transformers[location, dtype]
