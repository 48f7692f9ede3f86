"""Palette: a larger weight draws every pixel to the nearest of some colours."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from vqclip.config.palette import image_files, parse
from vqclip.config.rules import schedule
from vqclip.guidance.interfaces import LossTerm, Measure, Scene

if TYPE_CHECKING:
    from torch import Tensor

    from vqclip.config.palette import RGB
    from vqclip.guidance.latent import Latent


@dataclass(frozen=True, kw_only=True)
class Palette(LossTerm):
    """The mean squared distance of pixels from the nearest colour; each is written as in the key `palette`."""

    weight: str = schedule(minimum=0, default="1")
    colours: list[str]

    def __post_init__(self) -> None:
        parse(self.colours, "losses.palette.colours")

    def images(self) -> tuple[str, ...]:
        return tuple(image_files(self.colours, "losses.palette.colours"))

    def prepare(self, scene: Scene) -> Measure:
        from vqclip.media.palette_file import colours  # noqa: PLC0415

        return partial(_distance, colours=colours(parse(self.colours, "losses.palette.colours"), scene.base))

    def value(self, image: "Tensor", latent: "Latent", scene: Scene) -> "Tensor":
        return self.prepare(scene)(image, latent)


def _distance(image: "Tensor", latent: "Latent", *, colours: "list[RGB]") -> "Tensor":
    from vqclip.guidance.ops import constants  # noqa: PLC0415  # torch

    table = constants(colours, image.device)
    distances = [(image - rgb.view(1, 3, 1, 1)).square().mean(1) for rgb in table]
    nearest = distances[0]
    for distance in distances[1:]:
        nearest = nearest.minimum(distance)
    return nearest.mean()
