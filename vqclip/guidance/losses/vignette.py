"""Vignette: a larger weight draws the image's outer parts to one colour, by a Gaussian round the middle."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.config.palette import colour
from vqclip.config.rules import schedule, within
from vqclip.guidance.interfaces import LossTerm, Scene

if TYPE_CHECKING:
    from torch import Tensor

    from vqclip.guidance.latent import Latent


@dataclass(frozen=True, kw_only=True)
class Vignette(LossTerm):
    """The mean squared distance of pixels from `colour`, weighted by 1 - exp(-r^2 / 2 size^2).

    r is a pixel's distance from the middle, and both it and `size` are in halves of the image's sides.
    """

    weight: str = schedule(minimum=0, default="1")
    colour: str = "black"
    size: float = within(0.01, 10, default=0.6)

    def __post_init__(self) -> None:
        colour(self.colour, "losses.vignette.colour")

    def value(self, image: "Tensor", latent: "Latent", scene: Scene) -> "Tensor":
        outside = 1 - self.gaussian(image)
        levels = colour(self.colour, "losses.vignette.colour")
        parts = [((image[:, c] - level).square() * outside).mean() for c, level in enumerate(levels)]
        return sum(parts[1:], parts[0]) / len(parts)

    def gaussian(self, image: "Tensor") -> "Tensor":
        """Compute exp(-r^2 / 2 size^2) of each pixel (h w)."""
        import torch  # noqa: PLC0415

        y, x = (
            (torch.arange(side, device=image.device) * 2 + 1 - side) / (side * self.size)
            for side in image.shape[2:]
        )
        return torch.outer((-y.square() / 2).exp(), (-x.square() / 2).exp())
