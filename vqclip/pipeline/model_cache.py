"""The networks on one device, each loaded once for as many Pipelines as ask."""

from collections.abc import Mapping

import torch

from vqclip.guidance.perceptor import Perceptor
from vqclip.models.vqgan import VQGAN
from vqclip.models.vqgan_loading import load_vqgan
from vqclip.start.sketchbook import Sketchbook, load_sketchbook


class ModelCache:
    """Keeps what it has loaded, texts' towers included; raises WeightsError for what isn't to be had.

    Only with `pull` may anything be downloaded.
    """

    def __init__(self, device: torch.device, pull: bool = False, locations: Mapping[str, str] | None = None):
        """`locations` says where models lie that aren't where their names say."""
        self.device, self.pull, self.locations = device, pull, locations or {}
        self._vqgans: dict[tuple[str, torch.dtype], VQGAN] = {}
        self._sketchbooks: dict[str, Sketchbook] = {}
        self._perceptors: dict[tuple[str, torch.dtype], Perceptor] = {}

    def vqgan(self, name: str, dtype: torch.dtype) -> VQGAN:
        if (name, dtype) not in self._vqgans:
            vqgan = load_vqgan(self.locations.get(name, name), self.device)
            self._vqgans[name, dtype] = vqgan.to(self.device, dtype)
        return self._vqgans[name, dtype]

    def perceptor(self, name: str, dtype: torch.dtype) -> Perceptor:
        if (name, dtype) not in self._perceptors:
            location = self.locations.get(name, name)
            self._perceptors[name, dtype] = Perceptor(location, self.device, dtype, self.pull)
        return self._perceptors[name, dtype]

    def sketchbook(self, name: str) -> Sketchbook:
        if name not in self._sketchbooks:
            self._sketchbooks[name] = load_sketchbook(self.locations.get(name, name))
        return self._sketchbooks[name]
