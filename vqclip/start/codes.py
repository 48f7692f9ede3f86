"""Start from random codes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.guidance.interfaces import Drawer
from vqclip.start.noise import NoiseStart

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True, kw_only=True)
class CodesStart(NoiseStart):
    """Start from a random latent of the drawer; where an image is needed, from noise."""

    def latent(self, drawer: Drawer, shape: tuple[int, int], generator: "Generator") -> "Tensor":
        return drawer.random_latent(shape, generator)
