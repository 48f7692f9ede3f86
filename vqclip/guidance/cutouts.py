"""Cut random crops out of an image, all crops of a step by one warp.

Letters in shapes: n crops, s pixels of a crop's side, h w pixels of the image.

A crop's box, flip, rotation, shear, shift and perspective compose into one projective map. The CPU draws the random
numbers first (cutout_draws); the image's device then cuts the crops (crop_sampling).
"""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from vqclip.base.device import strengths
from vqclip.config.schema import CutoutsConfig
from vqclip.guidance.crop_sampling import place_crops, warp
from vqclip.guidance.cutout_draws import (
    NOISES,
    CropDraw,
    draw_blanks,
    draw_boxes,
    draw_colours,
    draw_maps,
    draw_noise,
    largest_side,
)
from vqclip.guidance.records import sent


@dataclass(frozen=True)
class Crops:
    """Hold crops: pixels (n 3 s s) in about [0, 1], and boxes (n 4) in image pixels (left, top, right, bottom)."""

    pixels: Tensor
    boxes: Tensor


class Cutouts:
    """Draw and cut crops by the settings of a CutoutsConfig."""

    def __init__(self, config: CutoutsConfig):
        self.config = config
        self._tables: dict[torch.device, Tensor] = {}

    def of(self, image: Tensor, size: int, seed: int, count: int | None = None) -> Crops:
        """Cut `count` crops of `size` pixels from an image (1 3 h w), differentiably, with random numbers of `seed`."""
        height, width = image.shape[2:]
        fixed = strengths(image.device).fixed_shapes
        draw = self.draw(height, width, size, seed, count, fixed)
        return Crops(self.cut(image, sent(draw, image.device), size), draw.boxes)

    def draw(
        self, height: int, width: int, size: int, seed: int, count: int | None = None, fixed: bool = False
    ) -> CropDraw:
        """Draw the random numbers for crops of an image of this size, as CPU tensors.

        With `fixed` no shape depends on the seed, and the noise comes from a table; without, a generator draws it.
        """
        generator, c, n = Generator().manual_seed(seed), self.config, count or self.config.count
        boxes = draw_boxes(n, height, width, c, generator)
        maps = draw_maps(n, c, generator)
        matrix, offset = draw_colours(n, c, generator)
        blanks = draw_blanks(n, c.erase, generator)
        strength = c.noise * torch.rand(n, 1, 1, 1, generator=generator)
        placement = place_crops(boxes, height, width, size, largest_side(height, width, c) if fixed else None)
        noise = draw_noise(n, fixed, generator)
        return CropDraw(boxes, maps, placement, matrix, offset, blanks, strength, noise)

    def cut(self, image: Tensor, draw: CropDraw, size: int) -> Tensor:
        """Cut the crops (n 3 s s) that were drawn from an image (1 3 h w); both lie on one device."""
        c = self.config
        pixels = warp(image, draw.maps, draw.placement, size, c.border)
        if c.jitter > 0:
            pixels = torch.einsum("nij,njyx->niyx", draw.matrix.to(pixels), pixels) + draw.offset.to(pixels)
        if c.noise > 0:
            pixels = pixels + draw.strength.to(pixels) * self._noise(pixels, draw.noise)
        return pixels * kept(draw.blanks, size).to(pixels) if c.erase > 0 else pixels

    def _noise(self, pixels: Tensor, source: Tensor) -> Tensor:
        """Draw normal noise for pixels (n 3 s s) from what `draw_noise` gave: a generator's state or table offsets."""
        if source.dtype == torch.uint8:
            return torch.randn(pixels.shape, generator=Generator().set_state(source)).to(pixels)
        each = pixels[0].numel()
        table = self._tables.get(pixels.device)
        if table is None or len(table) < NOISES + each:
            table = self._tables[pixels.device] = normal_numbers(NOISES + each, pixels.device)
        return table.unfold(0, each, 1)[source].view(pixels.shape).to(pixels)


def kept(blanks: Tensor, size: int) -> Tensor:
    """Make masks (n 1 s s) of the rectangles that `draw_blanks` draws: 0 where a crop is erased, 1 elsewhere."""
    top, left, bottom, right = (edge[:, None] for edge in blanks[:, :4].unbind(1))
    axis = (torch.arange(size, device=blanks.device) + 0.5) / size
    rows, columns = (axis >= top) & (axis < bottom), (axis >= left) & (axis < right)
    blank = rows[:, None, :, None] & columns[:, None, None, :] & (blanks[:, 4] > 0)[:, None, None, None]
    return 1 - blank.float()


def normal_numbers(count: int, device: torch.device) -> Tensor:
    """Compute normal numbers (count) on a device without a generator; each depends on its index alone, not on `count`.

    Box and Muller's transform (1958) of a hash of 0, 1, 2, …: the finaliser of MurmurHash3 (Appleby, 2011). The cosine
    and the sine of a pair lie side by side.
    """
    mask, pairs = 0xFFFFFFFF, math.ceil(count / 2)

    def hashed(x: Tensor) -> Tensor:  # 32 bits to 32 bits, held in 64; products wrap in bits that are cut off
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
            x = ((x ^ (x >> shift)) * factor) & mask
        return x ^ (x >> 16)

    def uniform(first: int) -> Tensor:
        return hashed(torch.arange(first, 2 * pairs + 1, 2, device=device)).float().add(0.5) / 2.0**32

    radius, angle = (-2 * uniform(1).log()).sqrt(), 2 * math.pi * uniform(2)
    return torch.stack([radius * angle.cos(), radius * angle.sin()], 1).flatten()[:count]
