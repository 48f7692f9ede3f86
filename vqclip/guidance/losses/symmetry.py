"""Symmetry: a larger weight makes the image equal to its mirror image."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.config.rules import among, schedule
from vqclip.guidance.interfaces import LossTerm, Scene

if TYPE_CHECKING:
    from torch import Tensor

    from vqclip.guidance.latent import Latent

_FLIPS: dict[str, list[tuple[int, ...]]] = {
    "left-right": [(3,)],
    "top-bottom": [(2,)],
    "both": [(3,), (2,)],
    "half-turn": [(2, 3)],
}


@dataclass(frozen=True, kw_only=True)
class Symmetry(LossTerm):
    """The mean squared difference of the image and its mirror image, or the mean of both mirror images' differences."""

    weight: str = schedule(minimum=0, default="1")
    axis: str = among(*_FLIPS, default="left-right")

    def value(self, image: "Tensor", latent: "Latent", scene: Scene) -> "Tensor":
        flips = _FLIPS[self.axis]
        differences = [(image - image.flip(dims)).square().mean() for dims in flips]
        return sum(differences[1:], differences[0]) / len(flips)
