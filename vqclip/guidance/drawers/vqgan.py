"""Decode a latent into an image with a frozen VQGAN."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vqclip.base.device import strengths
from vqclip.base.errors import ConfigError
from vqclip.config.timeline import latent_shape
from vqclip.guidance import motion
from vqclip.guidance.latent import enlarge
from vqclip.guidance.ops import clamp_with_grad, cover, straight_through
from vqclip.models.quantizers import nearest
from vqclip.models.vqgan import VQGAN


class VQGANDrawer:
    """Decode latents (n d y x) into images (n 3 h w) in [0, 1] with a frozen VQGAN, and encode images."""

    def __init__(self, vqgan: VQGAN, width: int, height: int, tile: bool = False):
        self.vqgan, self.width, self.height, self.tile = vqgan, width, height, tile
        if tile and (width % vqgan.factor or height % vqgan.factor):
            raise ConfigError(
                f"size: {width}x{height} is no tile; its sides must be multiples of {vqgan.factor}, as in "
                f"{rounded(width, vqgan.factor)}x{rounded(height, vqgan.factor)}"
            )
        codebook = vqgan.codebook
        self.low, self.high = (bound.view(1, -1, 1, 1) for bound in (codebook.amin(0), codebook.amax(0)))
        self.unit = float(codebook.float().std(0).mean())  # the codebook's standard deviation

    @property
    def device(self) -> torch.device:
        return self.low.device

    @property
    def encodes(self) -> bool:
        """Tell whether the VQGAN has an encoder."""
        return self.vqgan.encoder is not None

    @property
    def dtype(self) -> torch.dtype:
        return self.vqgan.post_quant_conv.weight.dtype

    def latent_shape(self, scale: float = 1.0) -> tuple[int, int]:
        """Compute the rows and columns of the latent whose image covers the size at this scale."""
        return latent_shape(self.width, self.height, self.vqgan.factor, scale)

    def drawn_size(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Compute the height and width of the images that `decode` makes of latents of this shape."""
        rows, columns = shape
        return min(self.height, rows * self.vqgan.factor), min(self.width, columns * self.vqgan.factor)

    def decode(self, z: Tensor, shifts: Tensor | None = None, recompute: bool = False) -> Tensor:
        """Decode latents, and crop each image evenly to the requested size, by less than a cell.

        Each latent is rolled by its shift (n 2: rows, columns) before, and the image is rolled back, so that a tile's
        seam lies elsewhere in each step. `recompute` saves memory in the backward pass, and takes time.
        """
        image = self.decode_full(z if shifts is None else turned(z, shifts), recompute)
        if shifts is not None:
            image = turned(image, -self.vqgan.factor * shifts)
        top, left = (
            max(0, (have - want) // 2)
            for have, want in zip(image.shape[2:], (self.height, self.width), strict=True)
        )
        return image[..., top : top + self.height, left : left + self.width]

    def decode_full(self, z: Tensor, recompute: bool = False) -> Tensor:
        """Decode a latent into the image of all its cells, uncropped."""
        codes = self.vqgan.lookup(nearest(z.detach(), self.vqgan.codebook))
        image = self.vqgan.decode(straight_through(codes, z).to(self.dtype), recompute).float()
        return clamp_with_grad((image + 1) / 2)

    def decode_output(self, z: Tensor) -> Tensor:
        """Decode the image that is saved; a tile is decoded with copies of itself around it, so that it has no seam.

        The copies reach half a tile to each side. Each cell is then decoded four times, and normalisation layers get
        the statistics of an endless plane.
        """
        if not self.tile:
            return self.decode(z)
        rows, columns = z.shape[2:]
        top, left = rows // 2, columns // 2
        surrounded = F.pad(z, (left, columns - left, top, rows - top), mode="circular")
        image = self.decode_full(surrounded)
        top, left = top * self.vqgan.factor, left * self.vqgan.factor
        return image[..., top : top + self.height, left : left + self.width]

    def shifts(self, shape: tuple[int, int], seeds: Sequence[int]) -> Tensor | None:
        """Draw by how many rows and columns (n 2) to roll latents in a step: tiles at random, others not at all."""
        if not self.tile:
            return None
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        drawn = [torch.stack([torch.randint(side, (), generator=g) for side in shape]) for g in generators]
        return torch.stack(drawn)

    @torch.no_grad()
    def encode(self, image: Tensor, shape: tuple[int, int]) -> Tensor:
        """Encode an image (1 3 h w), scaled to fill `shape`, into a latent of codebook entries."""
        rows, columns = (cell * self.vqgan.factor for cell in shape)
        fitted = cover(image, rows, columns).clamp(0, 1) * 2 - 1
        encoding = self.vqgan.encode(fitted.to(self.low.device, self.dtype))
        return self.vqgan.lookup(self.vqgan.codes(encoding)).float()

    def random_latent(self, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        """Draw a latent of random codes."""
        codebook = self.vqgan.codebook
        codes = torch.randint(len(codebook), (1, *shape), generator=generator)
        return self.vqgan.lookup(codes.to(codebook.device)).float()

    def project(self, z: Tensor) -> None:
        """Clamp a latent to the codebook's bounds, in place."""
        z.clamp_(self.low, self.high)

    def resize(self, x: Tensor, rows: int, columns: int) -> Tensor:
        return enlarge(x, rows, columns)

    def moved(self, moments: Tensor, grid: Callable[[tuple[int, int]], Tensor], border: str) -> Tensor:
        """Move the moments cell by cell."""
        return motion.sample(moments, grid(self.latent_shape()), border, "bilinear")


def turned(images: Tensor, shifts: Tensor) -> Tensor:
    """Roll images (n c h w), each by its own shift (n 2: rows, columns), which may lie on any device."""
    pairs = zip(torch.split(images, 1), shifts, strict=True)
    return torch.cat([_Turn.apply(image, shift) for image, shift in pairs])


class _Turn(torch.autograd.Function):
    """Roll as torch.roll does, by shifts that are tensors."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, shift: Tensor) -> Tensor:
        ctx.save_for_backward(shift)
        return _rolled(image, shift)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return _rolled(grads[0], -ctx.saved_tensors[0]), None


def _rolled(image: Tensor, shift: Tensor) -> Tensor:
    is_unread = strengths(shift.device).fixed_shapes
    return rolled_unread(image, shift) if is_unread else image.roll(shift.tolist(), (2, 3))


def rolled_unread(image: Tensor, shift: Tensor) -> Tensor:
    """Roll an image's (n c h w) rows and columns by a shift (2), without reading its numbers."""
    for dim, by in zip((2, 3), shift.unbind(), strict=True):
        side = image.shape[dim]
        image = image.index_select(dim, (torch.arange(side, device=image.device) - by) % side)
    return image


def rounded(side: int, factor: int) -> int:
    """Round to the nearest multiple of a factor."""
    return max(1, round(side / factor)) * factor
