"""Confine prompts to regions of the image.

Letters in shapes: k images, n crops of each, s pixels of a crop's side, h w pixels of the image.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vqclip.config import region as regions
from vqclip.config.prompt import Prompt
from vqclip.guidance.crop_sampling import warp
from vqclip.guidance.cutout_draws import CropDraw
from vqclip.guidance.ops import cover
from vqclip.media.image import load_mask


@dataclass(frozen=True)
class RegionMask:
    """Hold a region's mask (1 1 h w), 1 within it, by the size (h, w) of each image that is drawn."""

    masks: Mapping[tuple[int, int], Tensor]

    @torch.no_grad()
    def in_crops(self, size: tuple[int, int], draws: Sequence[CropDraw], side: int, border: str) -> Tensor:
        """Cut the mask as the crops of k images were cut: (k n 1 s s)."""
        mask = self.masks[size]
        return torch.stack([warp(mask, draw.maps, draw.placement, side, border) for draw in draws])


def shares_of(in_crops: Tensor) -> Tensor:
    """Weigh crops by the share of each that the mask (k n 1 s s) covers -> (k n), on average 1 over an image's crops.

    So a prompt's weight means the same whatever its region. Where no crop shows the region, all weights are 0.
    """
    covered = in_crops.mean((2, 3, 4))
    return covered / covered.mean(1, keepdim=True).clamp(min=1e-6)


def region_masks(
    prompts: Iterable[Prompt], base: Path, sizes: Iterable[tuple[int, int]], device: torch.device
) -> dict[str, RegionMask]:
    """Make the masks of all regions that prompts name, by their text. Raises ImageError."""
    texts = {prompt.region for prompt in prompts if prompt.region is not None}
    drawn = list(sizes)
    return {
        text: RegionMask({size: mask_of(text, base, size).to(device) for size in drawn}) for text in texts
    }


def mask_of(text: str, base: Path, size: tuple[int, int]) -> Tensor:
    """Draw a region as a mask (1 1 h w); a border between pixels is sharp, one within a pixel is grey."""
    region = regions.parse(text)
    if region.file is not None:
        mask = cover(load_mask(base / region.file), *size).clamp(0, 1)
    else:
        assert region.box
        left, top, width, height = region.box
        rows, columns = _covered(size[0], top, height), _covered(size[1], left, width)
        mask = (rows[:, None] * columns)[None, None]
    return 1 - mask if region.is_inverse else mask


def _covered(pixels: int, begin: float, length: float) -> Tensor:
    """Give the share of each pixel of a line that a stretch of it covers (pixels)."""
    edges = torch.arange(pixels + 1, dtype=torch.float64) / pixels
    inside = edges.clamp(begin, begin + length)
    return (inside.diff() * pixels).clamp(0, 1).float()
