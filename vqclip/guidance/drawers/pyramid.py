"""The PyramidDrawer: an image is the sum of images at many resolutions, which are optimised together.

Fort and Whitaker, "Direct Ascent Synthesis" (2025, arXiv 2502.07753). Letters in shapes: a latent (n 3 y x) holds all
resolutions' decorrelated colours one after the other, the coarsest first, and zeros where these don't fill it. Its rows
y are as many as the image's longer side has pixels, so that a latent's shape tells which image it draws.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vqclip.guidance import motion
from vqclip.guidance.drawers.colours import COLOURS, from_image, to_image
from vqclip.guidance.latent import enlarge
from vqclip.guidance.ops import cover, resize

# Sides of the resolutions of an image of 160 pixels a side; others have as many, in proportion.
SIDES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 112, 160)
COARSE = 16  # the side, of 160, from which on a falloff slows resolutions down
STRENGTH = 1.0  # the sum is multiplied by it before the logistic; with 2 colours reach their extremes
CUBIC = -0.75  # of the cubic kernel (Keys, 1981), as torch's bicubic interpolation has it
SPREAD = 0.05  # standard deviation of a random latent


class PyramidDrawer:
    """Draw images (n 3 h w) as sums of many resolutions; a tile's are interpolated around its borders.

    A resolution finer than `COARSE` is added (COARSE / side) ** falloff times, so that a step changes it less: shapes
    come before texture.
    """

    unit, encodes = 1.0, True

    def __init__(
        self, width: int, height: int, device: torch.device, tile: bool = False, falloff: float = 0.0
    ):
        self.width, self.height, self.device, self.tile = width, height, device, tile
        self.colours = STRENGTH * COLOURS.to(device)
        self.weights = [min(1.0, (COARSE / side) ** falloff) for side in SIDES]
        self._matrices: dict[tuple[int, int], Tensor] = {}

    def latent_shape(self, scale: float = 1.0) -> tuple[int, int]:
        longer = max(1, round(max(self.width, self.height) * scale))
        return longer, -(-sum(map(math.prod, self._levels(longer))) // longer)

    def drawn_size(self, shape: tuple[int, int]) -> tuple[int, int]:
        return self._levels(shape[0])[-1]

    def decode(self, z: Tensor, shifts: Tensor | None = None, recompute: bool = False) -> Tensor:
        """Enlarge each resolution's columns, then all their rows at once, in which they are added up."""
        levels = self._weighted(self._split(z))
        height, width = levels[-1].shape[2:]
        wide = [level @ self._enlarger(width, level.shape[3]).T for level in levels]
        tall = torch.cat([self._enlarger(height, level.shape[2]) for level in levels], 1)
        return to_image(tall @ torch.cat(wide, 2), self.colours)

    def decode_full(self, z: Tensor) -> Tensor:
        return self.decode(z)

    def decode_output(self, z: Tensor) -> Tensor:
        return self.decode(z)

    def shifts(self, shape: tuple[int, int], seeds: Sequence[int]) -> None:
        return None

    @torch.no_grad()
    def encode(self, image: Tensor, shape: tuple[int, int]) -> Tensor:
        """Let each resolution hold what the coarser ones have left; the finest holds the rest, so nothing is lost."""
        sizes = self._levels(shape[0])
        rest = from_image(cover(image, *sizes[-1]), self.colours)
        levels = []
        for size in sizes:
            level = resize(rest, *size)
            rest = rest - self._enlarged(level, sizes[-1])
            levels.append(level)
        levels = [level / weight for level, weight in zip(levels, self.weights, strict=True)]
        return self._joined(levels, shape)

    def random_latent(self, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        sizes = self._levels(shape[0])
        levels = [SPREAD * torch.randn(1, 3, *size, generator=generator).to(self.device) for size in sizes]
        return self._joined(levels, shape)

    def project(self, z: Tensor) -> None:
        """Any numbers are an image's."""

    def resize(self, x: Tensor, rows: int, columns: int) -> Tensor:
        """Resample each resolution to the one that stands in its place."""
        if x.shape[2:] == (rows, columns):
            return x
        pairs = zip(self._split(x), self._levels(rows), strict=True)
        return self._joined([enlarge(level, *size) for level, size in pairs], (rows, columns))

    def moved(self, moments: Tensor, grid: Callable[[tuple[int, int]], Tensor], border: str) -> Tensor:
        """Move each resolution's moments as the image moved."""
        levels = self._split(moments)
        sizes = [(level.shape[2], level.shape[3]) for level in levels]
        moved = [
            motion.sample(level, grid(size), border, "bilinear")
            for level, size in zip(levels, sizes, strict=True)
        ]
        return self._joined(moved, (moments.shape[2], moments.shape[3]))

    def _levels(self, longer: int) -> list[tuple[int, int]]:
        """List the heights and widths of all resolutions of an image whose longer side has so many pixels."""
        return [level_size(self.width, self.height, longer * side / SIDES[-1]) for side in SIDES]

    def _split(self, z: Tensor) -> list[Tensor]:
        """Take a latent (n 3 y x) apart into its resolutions."""
        sizes = self._levels(z.shape[2])
        counts = [math.prod(size) for size in sizes]
        parts = torch.split(z.flatten(2)[..., : sum(counts)], counts, -1)
        return [torch.unflatten(part, -1, size) for part, size in zip(parts, sizes, strict=True)]

    def _weighted(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Give each resolution its part in the sum."""
        return [level * weight for level, weight in zip(levels, self.weights, strict=True)]

    def _joined(self, levels: Sequence[Tensor], shape: tuple[int, int]) -> Tensor:
        """Put resolutions into a latent of a shape."""
        flat = torch.cat([level.flatten(2) for level in levels], -1)
        return torch.unflatten(F.pad(flat, (0, math.prod(shape) - flat.shape[-1])), -1, shape)

    def _enlarged(self, level: Tensor, size: tuple[int, int]) -> Tensor:
        height, width = (self._enlarger(to, side) for to, side in zip(size, level.shape[2:], strict=True))
        return height @ level @ width.T

    def _enlarger(self, to: int, side: int) -> Tensor:
        """Give the matrix (to side) that enlarges a side; it is made when it is first asked for."""
        if (to, side) not in self._matrices:
            self._matrices[to, side] = enlarger(to, side, self.device, self.tile)
        return self._matrices[to, side]


def level_size(width: int, height: int, longer: float) -> tuple[int, int]:
    """Give the height and width of a size, scaled until its longer side has so many pixels."""
    scale = longer / max(width, height)
    return max(1, round(height * scale)), max(1, round(width * scale))


def enlarger(to: int, side: int, device: torch.device, wraps: bool) -> Tensor:
    """Make the matrix (to side) that interpolates cubically; beyond a border, a side goes on flat, or around.

    Keys, "Cubic convolution interpolation" (1981).
    """
    if to == side:
        return torch.eye(to, device=device)
    place = (torch.arange(to, device=device) + 0.5) * (side / to) - 0.5
    matrix = torch.zeros(to, side, device=device)
    for tap in (-1, 0, 1, 2):
        cell = place.floor().long() + tap
        weight = _cubic((place - cell).abs())
        cell = cell % side if wraps else cell.clamp(0, side - 1)
        matrix += weight[:, None] * (cell[:, None] == torch.arange(side, device=device))
    return matrix


def _cubic(x: Tensor) -> Tensor:
    """Weigh by the distance x in cells, from 0 to 2."""
    near = ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1
    far = CUBIC * (((x - 5) * x + 8) * x - 4)
    return torch.where(x <= 1, near, torch.where(x < 2, far, 0))
