"""Sample crops from an image: one `grid_sample` for all crops, from a mip map of the image.

Letters in shapes: n crops, s pixels of a crop's side, h w pixels of the image, p points.

A crop that shrinks the image is sampled from a copy that was averaged down to about the crop's resolution (Williams,
Pyramidal Parametrics, 1983). The copies lie side by side in one atlas, so that a single `grid_sample` serves crops of
all sizes.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vqclip.base.device import exact_products, strengths
from vqclip.guidance.cutout_draws import Placement

_FINE = 2.0**36  # parts of the largest gradient; 2^26 of those, summed up, still fit into 64 bits


def place_crops(boxes: Tensor, height: int, width: int, size: int, largest: float | None = None) -> Placement:
    """Choose the mip level of each box (n 4), and locate the box in it; all tensors lie on the CPU.

    The mip map has as many levels as the boxes need, or as a box with `largest` as its side would need.
    """
    frame, deepest = torch.tensor([width, height]), math.log2(min(height, width))
    sides = boxes[:, 2:] - boxes[:, :2]
    shrink = sides.prod(1).sqrt() / size
    levels = shrink.log2().round().clamp(0, deepest).long()
    if largest is None:
        depth = int(levels.max())
    else:
        depth = int(min(max(0, round(math.log2(largest / size))), deepest))
        levels = levels.clamp(max=depth)
    shapes, offsets, extent = _atlas_places(height, width, depth)
    return Placement(depth, boxes[:, :2] / frame, sides / frame, shapes[levels], offsets[levels], extent)


def _atlas_places(height: int, width: int, depth: int) -> tuple[Tensor, Tensor, Tensor]:
    """Compute each level's width and height (l 2), its offset in the atlas (l 2), and the atlas's size (2)."""
    shapes = torch.tensor(
        [[width / 2**k, height / 2**k] for k in range(depth + 1)]
    )  # an odd side ends mid-texel
    widths = torch.tensor([math.ceil(width / 2**k) for k in range(depth + 1)])
    offsets = torch.stack([widths.cumsum(0) - widths, torch.zeros_like(widths)], 1)
    return shapes, offsets, torch.tensor([int(widths.sum()), height])


def warp(image: Tensor, maps: Tensor, placement: Placement, size: int, border: str) -> Tensor:
    """Sample crops (n 3 s s) of an image (1 3 h w) through maps (n 3 3); all tensors lie on one device."""
    atlas = build_atlas(image, placement.depth)
    places = _crop_points(maps, size) / 2 + 0.5  # within the box, [0, 1]
    places = placement.low[:, None, None] + places * placement.sides[:, None, None]  # within the image
    inside = ((places >= 0) & (places <= 1)).all(-1)
    texels = placement.texels[:, None, None]  # n 1 1 2
    texels_in = (_fold(places, border) * texels).clamp(min=0.5).minimum(texels - 0.5)
    grid = 2 * (texels_in + placement.offsets[:, None, None]) / placement.extent - 1

    tall = rearrange(grid, "n y x c -> 1 (n y) x c").to(image.dtype)
    pixels = rearrange(_sample(atlas, tall), "1 c (n y) x -> n c y x", y=size)
    return pixels.masked_fill(~inside[:, None], 0.5) if border == "grey" else pixels


def build_atlas(image: Tensor, depth: int) -> Tensor:
    """Lay the image and its halved copies side by side (1 3 h w')."""
    levels = [image]
    for _ in range(depth):
        padded = pad_to_even if strengths(image.device).ordered_gradients else pad_in_order
        levels.append(F.avg_pool2d(padded(levels[-1]), 2))
    height = image.shape[2]
    return torch.cat([F.pad(level, (0, 0, 0, height - level.shape[2])) for level in levels], -1)


def pad_to_even(level: Tensor) -> Tensor:
    """Pad images (n c h w) to even sides by repeating the last row or column."""
    odd_rows, odd_columns = (side % 2 for side in level.shape[2:])
    return F.pad(level, (0, odd_columns, 0, odd_rows), mode="replicate")


def pad_in_order(level: Tensor) -> Tensor:
    """Pad as `pad_to_even` does, by operations whose gradients a GPU sums in a fixed order."""
    odd_rows, odd_columns = (side % 2 for side in level.shape[2:])
    level = torch.cat([level, level[:, :, -1:]], 2) if odd_rows else level
    return torch.cat([level, level[..., -1:]], 3) if odd_columns else level


def _crop_points(maps: Tensor, size: int) -> Tensor:
    """Map a crop's pixel centres to points (n s s 2) in its box's [-1, 1]^2."""
    axis = (torch.arange(size, device=maps.device) + 0.5) * 2 / size - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)], -1)
    with exact_products(maps.device):
        mapped = torch.einsum("nij,yxj->nyxi", maps, points)
    return mapped[..., :2] / mapped[..., 2:].clamp(min=1e-3)


def _fold(places: Tensor, border: str) -> Tensor:
    """Move points outside [0, 1] back in, by the border mode."""
    if border == "reflect":
        return 1 - (places % 2 - 1).abs()
    return places % 1 if border == "wrap" else places.clamp(0, 1)


def _sample(atlas: Tensor, grid: Tensor) -> Tensor:
    """Sample an atlas (1 c h w) bilinearly at a grid (1 p q 2), which gets no gradient -> (1 c p q)."""
    if strengths(atlas.device).ordered_gradients:
        return F.grid_sample(atlas, grid, mode="bilinear", align_corners=False)
    return GridSample.apply(atlas, grid)


class GridSample(torch.autograd.Function):
    """Sample as torch's grid_sample does, with a gradient that doesn't depend on the order of a GPU's threads."""

    @staticmethod
    def forward(ctx: Any, atlas: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(grid)
        ctx.extent = atlas.shape[2:]
        return F.grid_sample(atlas, grid, mode="bilinear", align_corners=False)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (grid,) = ctx.saved_tensors
        return spread(grads[0], grid, *ctx.extent), None


def spread(grad: Tensor, grid: Tensor, height: int, width: int) -> Tensor:
    """Compute the gradient (1 c h w) of an atlas from the gradient `grad` (1 c p q) of its samples at a grid (1 p q 2).

    It sums integers, fractions of the largest gradient, so that the sum is the same in any order. MPS may lack 64-bit
    integers, and sums floats instead.
    """
    c, whole = grad.shape[1], strengths(grad.device).whole_number_sums
    largest = grad.abs().amax().clamp(min=1e-30)
    parts = rearrange(grad / largest, "1 c p q -> c (p q)") * (_FINE if whole else 1.0)
    sums = torch.zeros(c, height * width, dtype=torch.int64 if whole else grad.dtype, device=grad.device)
    with _in_any_order():
        for index, weight in _corners(grid, height, width):
            values = parts * weight
            sums.scatter_add_(1, index.expand(c, -1), values.round().long() if whole else values)
    return (sums.to(grad.dtype) * (largest / (_FINE if whole else 1.0))).view(1, c, height, width)


def _corners(grid: Tensor, height: int, width: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the index (p q) and the bilinear weight (p q) of each of the four texels around a grid's points."""
    x, y = (((grid[..., i] + 1) * side - 1).flatten() / 2 for i, side in ((0, width), (1, height)))
    left, top = x.floor(), y.floor()
    for column, row in ((left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)):
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        index = row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
        yield index, (1 - (x - column).abs()) * (1 - (y - row).abs()) * inside


@contextmanager
def _in_any_order() -> Iterator[None]:
    """Let torch sum in any order: its deterministic kernel sorts first, which integer sums don't need."""
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode(0)
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)
