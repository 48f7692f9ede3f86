"""Edges: a larger weight draws the image's border to one colour, so that a motif stands free."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.config.palette import colour
from vqclip.config.rules import schedule, within
from vqclip.guidance.interfaces import LossTerm, Scene

if TYPE_CHECKING:
    from torch import Tensor

    from vqclip.guidance.latent import Latent


@dataclass(frozen=True, kw_only=True)
class Edges(LossTerm):
    """The mean squared distance of the pixels within a margin from `colour`.

    A margin is a share of the image's shorter side; `left`, `right`, `top` and `bottom` stand in for `margin`.
    """

    weight: str = schedule(minimum=0, default="1")
    colour: str = "white"
    margin: float = within(0, 0.5, default=0.1)
    left: float | None = within(0, 0.5, default=None)
    right: float | None = within(0, 0.5, default=None)
    top: float | None = within(0, 0.5, default=None)
    bottom: float | None = within(0, 0.5, default=None)

    def __post_init__(self) -> None:
        colour(self.colour, "losses.edges.colour")

    def value(self, image: "Tensor", latent: "Latent", scene: Scene) -> "Tensor":
        height, width = image.shape[2:]

        def pixels(share: float | None) -> int:
            return round((self.margin if share is None else share) * min(height, width))

        left, right, top, bottom = map(pixels, (self.left, self.right, self.top, self.bottom))
        middle = image[..., top : height - bottom, :]
        strips = [
            image[..., :top, :], image[..., height - bottom :, :],
            middle[..., :left], middle[..., width - right :],
        ]  # fmt: skip
        sums = [
            (strip[:, c] - level).square().sum()
            for strip in strips
            for c, level in enumerate(colour(self.colour, "losses.edges.colour"))
        ]
        count = sum(strip.numel() for strip in strips)
        return sum(sums[1:], sums[0]) / max(1, count)
