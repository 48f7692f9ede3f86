"""Saturation: a positive weight makes colours stronger, a negative one weaker."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.config.rules import schedule
from vqclip.guidance.interfaces import LossTerm, Scene

if TYPE_CHECKING:
    from torch import Tensor

    from vqclip.guidance.latent import Latent


@dataclass(frozen=True, kw_only=True)
class Saturation(LossTerm):
    """Minus the distance of pixels from grey."""

    weight: str = schedule(default="0")

    def value(self, image: "Tensor", latent: "Latent", scene: Scene) -> "Tensor":
        return -saturation(image)


def saturation(images: "Tensor") -> "Tensor":
    """Mean root-mean-square distance of pixels (n 3 h w) from grey of the same brightness."""
    grey = images.mean(1, keepdim=True)
    return (images - grey).square().mean(1).add(1e-8).sqrt().mean()
