"""A drawer whose images are transparent in part: an alpha plane is optimised beside the latent, in the same tensor.

Letters in shapes: a latent (n d+a y x) holds the inner drawer's d channels, and s x s values of alpha in each cell as
a = s·s channels. Alpha 1 is stored as SPAN of the drawer's unit, so that the latent's learning rate suits it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vqclip.base import seeds as purposes
from vqclip.base.errors import ConfigError
from vqclip.config.schedule import Schedule
from vqclip.config.schema import Config
from vqclip.guidance.drawer_abilities import WritesSVG
from vqclip.guidance.interfaces import Drawer, Measure
from vqclip.guidance.latent import Latent, enlarge
from vqclip.guidance.loss import Penalty

SPAN = 0.4  # with 1, the default learning rate leaves the background half opaque after 40 steps
WIDTH = 4  # pixels: about the width of a value of alpha in the image


class TransparentDrawer:
    """Draw as another drawer does, over a background of another random colour in each step.

    What the prompt needs has to be opaque, as the background doesn't help to show it. `decode_output` gives the image
    with its alpha (n 4 h w).
    """

    def __init__(self, drawer: Drawer, cell: int):
        """`cell` is the width of the inner latent's cell in pixels."""
        self._drawer, self._side = drawer, max(1, cell // WIDTH)
        self._full = SPAN * drawer.unit  # what alpha 1 is stored as

    def __getattr__(self, name: str) -> Any:
        return getattr(self._drawer, name)

    def decode(self, z: Tensor, shifts: Tensor | None = None, recompute: bool = False) -> Tensor:
        """Decode latents over the background colours (n 3), of 255, behind their shifts; over grey without any."""
        colours, alpha = self._split(z)
        rolls = None if shifts is None or shifts.shape[1] == 3 else shifts[:, :-3]
        image = self._drawer.decode(colours, rolls, recompute)
        background = (
            torch.full_like(image[:, :, :1, :1], 0.5) if shifts is None else _colours(shifts).to(image)
        )
        return background.lerp(image, self._spread(alpha, image))

    def decode_full(self, z: Tensor) -> Tensor:
        return self._drawer.decode_full(self._split(z)[0])

    def decode_output(self, z: Tensor) -> Tensor:
        colours, alpha = self._split(z)
        image = self._drawer.decode_output(colours)
        return torch.cat([image, self._spread(alpha, image)], 1)

    def shifts(self, shape: tuple[int, int], seeds: Sequence[int]) -> Tensor:
        """Draw a background colour for each latent (n 3), behind the inner drawer's shifts where it has some."""
        rolls = self._drawer.shifts(shape, seeds)
        generators = [torch.Generator().manual_seed(purposes.derive(seed, "background")) for seed in seeds]
        drawn = torch.stack([torch.randint(256, (3,), generator=generator) for generator in generators])
        return drawn if rolls is None else torch.cat([rolls, drawn], 1)

    def encode(self, image: Tensor, shape: tuple[int, int]) -> Tensor:
        return self._opaque(self._drawer.encode(image, shape))

    def random_latent(self, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        return self._opaque(self._drawer.random_latent(shape, generator))

    def project(self, z: Tensor) -> None:
        colours, alpha = self._split(z)
        self._drawer.project(colours)
        alpha.clamp_(0, self._full)

    def resize(self, x: Tensor, rows: int, columns: int) -> Tensor:
        colours, alpha = self._split(x)
        plane = enlarge(F.pixel_shuffle(alpha, self._side), rows * self._side, columns * self._side)
        packed = F.pixel_unshuffle(plane, self._side)
        return torch.cat([self._drawer.resize(colours, rows, columns), packed], 1)

    def opacity(self, image: Tensor, latent: Latent) -> Tensor:
        """Compute the mean alpha () of a latent: the loss that makes it transparent where nothing is needed."""
        return self._split(latent.z)[1].mean() / self._full

    def without_alpha(self, measure: Measure) -> Callable[[Tensor, Latent], Tensor]:
        """Make a loss term measure the inner drawer's latent."""

        def measure_colours(image: Tensor, latent: Latent) -> Tensor:
            z, start, total = (self._split(x)[0] for x in (latent.z, latent.start, latent.total))
            return measure(image, Latent(z, start, total, latent.weight))

        return measure_colours

    def penalties(self, listed: Sequence[Penalty], weight: str | None) -> list[Penalty]:
        """Make the inner drawer's penalties measure its own latent, and add the opacity with its weight, a schedule."""
        colours = [replace(penalty, measure=self.without_alpha(penalty.measure)) for penalty in listed]
        return [*colours, Penalty("opacity", Schedule.parse(weight or "0"), self.opacity)]

    def _split(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Give views of the inner drawer's channels and of alpha's."""
        return z[:, : -(self._side**2)], z[:, -(self._side**2) :]

    def _opaque(self, z: Tensor) -> Tensor:
        """Add alpha to a latent: all of it opaque."""
        alpha = z.new_full((z.shape[0], self._side**2, *z.shape[2:]), self._full)
        return torch.cat([z, alpha], 1)

    def _spread(self, alpha: Tensor, image: Tensor) -> Tensor:
        """Give the alpha (n 1 h w) in [0, 1] of images, smooth between its values."""
        plane = F.pixel_shuffle(alpha / self._full, self._side)
        return enlarge(plane, image.shape[2], image.shape[3]).to(image)


def _colours(shifts: Tensor) -> Tensor:
    """Give the background colours (n 3 1 1) in [0, 1] behind latents' shifts."""
    return shifts[:, -3:, None, None] / 255


def check_alpha(config: Config, drawer: Drawer) -> None:
    """Refuse a transparent image by a drawer of vectors; raises ConfigError."""
    if config.transparent is not None and isinstance(drawer, WritesSVG):
        raise ConfigError(f"transparent: the drawer {config.drawer.name} has no alpha; take another drawer")


def transparent(drawer: Drawer, config: Config) -> TransparentDrawer | None:
    """Make a drawer with an alpha channel, if a Config asks for one."""
    return TransparentDrawer(drawer, config.drawer.cell()) if config.transparent is not None else None
