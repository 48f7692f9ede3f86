"""Contrast: a positive weight makes light and dark differ more, a negative one less."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.config.rules import schedule
from vqclip.guidance.interfaces import LossTerm, Scene

if TYPE_CHECKING:
    from torch import Tensor

    from vqclip.guidance.latent import Latent


@dataclass(frozen=True, kw_only=True)
class Contrast(LossTerm):
    """Minus the standard deviation of the pixels' brightness."""

    weight: str = schedule(default="1")

    def value(self, image: "Tensor", latent: "Latent", scene: Scene) -> "Tensor":
        brightness = image.mean(1)
        return -(brightness - brightness.mean()).square().mean().add(1e-8).sqrt()
