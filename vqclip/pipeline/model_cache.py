"""Cache the networks of one device, so that several Pipelines load each once."""

import copy
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from vqclip.base.errors import WeightsError, cause
from vqclip.base.paths import expand
from vqclip.guidance.interfaces import Perceptor, PerceptorEntry

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
        self._models: dict[tuple[Any, str, tuple[Hashable, ...]], Any] = {}
        self._perceptors: dict[tuple[str, torch.dtype], Perceptor] = {}
        self._files: dict[tuple[Any, Path, int], Any] = {}

    def at(self, locations: Mapping[str, str]) -> "ModelCache":
        """Share the cache with a run that has `locations` of its own."""
        view = copy.copy(self)
        view.locations = {**self.locations, **locations}
        return view

    def load(self, name: str, load: Callable[..., Kept], *how: Hashable) -> Kept:
        """Load a model by a function of where its name lies and of `how`, or give what was loaded before."""
        known = load, self.locations.get(name, name), how
        if known not in self._models:
            self._models[known] = load(known[1], *how)
        kept: Kept = self._models[known]
        return kept

    def perceptor(self, entry: PerceptorEntry, dtype: torch.dtype) -> Perceptor:
        """One for all entries that differ in their weights and numbers of crops alone."""
        located = replace(entry.at(self.locations), weight=1.0, crops=None)
        known = repr(located), dtype  # a key of an entry may be a list, which has no hash
        if known not in self._perceptors:
            self._perceptors[known] = located.open(self, dtype)
        return self._perceptors[known]

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
