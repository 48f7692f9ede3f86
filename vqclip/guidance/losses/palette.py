"""Palette: a larger weight draws every pixel to the nearest of some colours."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.base.errors import ConfigError, shorten
from vqclip.config.rules import schedule
from vqclip.guidance.interfaces import LossTerm, Scene

if TYPE_CHECKING:
    from torch import Tensor

    from vqclip.guidance.latent import Latent


@dataclass(frozen=True, kw_only=True)
class Palette(LossTerm):
    """The mean squared distance of pixels from the nearest colour, each a name or #RGB, as in [red, "#00f"]."""

    weight: str = schedule(minimum=0, default="1")
    colours: list[str]

    def __post_init__(self) -> None:
        if not self.rgb():
            raise ConfigError('losses.palette.colours: there are none; write some, as in [red, "#00f"]')

    def rgb(self) -> list[tuple[float, ...]]:
        """The colours in [0, 1]; raises ConfigError for what is no colour."""
        from PIL.ImageColor import getrgb  # noqa: PLC0415  # only for a config with a palette

        try:
            return [tuple(value / 255 for value in getrgb(colour)[:3]) for colour in self.colours]
        except ValueError:
            raise ConfigError(
                f"losses.palette.colours: {shorten(self.colours)} has what is no colour; write names or "
                'hexadecimal digits, as in [red, "#00f"]'
            ) from None

    def value(self, image: "Tensor", latent: "Latent", scene: Scene) -> "Tensor":
        distances = [(image - image.new_tensor(rgb).view(1, 3, 1, 1)).square().mean(1) for rgb in self.rgb()]
        nearest = distances[0]
        for distance in distances[1:]:
            nearest = nearest.minimum(distance)
        return nearest.mean()
