"""Total variation: a larger weight makes the image smoother."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.config.rules import schedule
from vqclip.guidance.interfaces import LossTerm, Scene

if TYPE_CHECKING:
    from torch import Tensor

    from vqclip.guidance.latent import Latent


@dataclass(frozen=True, kw_only=True)
class Tv(LossTerm):
    """The mean squared difference of neighbouring pixels."""

    weight: str = schedule(minimum=0, default="0")

    def value(self, image: "Tensor", latent: "Latent", scene: Scene) -> "Tensor":
        return total_variation(image)


def total_variation(images: "Tensor") -> "Tensor":
    """Mean squared difference of neighbouring pixels of (n c h w): 0 for a flat image."""
    down = (images[..., 1:, :] - images[..., :-1, :]).square()
    right = (images[..., 1:] - images[..., :-1]).square()
    return down.mean() + right.mean()
