"""A loss: how far the image's mean is from a brightness."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.config.rules import schedule, within
from vqclip.guidance.interfaces import LossTerm, Scene

if TYPE_CHECKING:
    from torch import Tensor

    from vqclip.guidance.latent import Latent


@dataclass(frozen=True, kw_only=True)
class Brightness(LossTerm):
    """The squared distance of the mean from `level`."""

    weight: str = schedule(minimum=0, default="1")
    level: float = within(0, 1, default=0.5)

    def value(self, image: "Tensor", latent: "Latent", scene: Scene) -> "Tensor":
        return (image.mean() - self.level).square()
