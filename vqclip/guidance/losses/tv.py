"""Total variation: a larger weight makes the image smoother."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.config.rules import among, schedule
from vqclip.guidance.interfaces import LossTerm, Scene

if TYPE_CHECKING:
    from torch import Tensor

    from vqclip.guidance.latent import Latent

FORMS = ("squares", "lengths", "clipped", "log")


@dataclass(frozen=True, kw_only=True)
class Tv(LossTerm):
    """The mean squared difference of neighbouring pixels, or another function of their differences' lengths.

    `lengths` keeps hard edges that `squares` softens. `clipped` counts no length beyond 0.5, and `log` takes
    log(1 + length), so that strong edges cost little.
    """

    weight: str = schedule(minimum=0, default="0")
    form: str = among(*FORMS, default="squares", neutral="squares")

    def value(self, image: "Tensor", latent: "Latent", scene: Scene) -> "Tensor":
        if self.form == "squares":
            return total_variation(image)
        lengths = gradient_lengths(image)
        shaped = {"lengths": lengths, "clipped": lengths.clamp(max=0.5), "log": lengths.log1p()}
        return shaped[self.form].mean()


def total_variation(images: "Tensor") -> "Tensor":
    """Mean squared difference of neighbouring pixels of (n c h w): 0 for a flat image."""
    down = (images[..., 1:, :] - images[..., :-1, :]).square()
    right = (images[..., 1:] - images[..., :-1]).square()
    return down.mean() + right.mean()


def gradient_lengths(images: "Tensor") -> "Tensor":
    """Length of each pixel's differences (n h-1 w-1) from its lower and its right neighbour, all channels together."""
    here = images[..., :-1, :-1]
    down, right = images[..., 1:, :-1] - here, images[..., :-1, 1:] - here
    return (down.square().sum(1) + right.square().sum(1) + 1e-10).sqrt()
