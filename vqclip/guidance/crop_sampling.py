"""How crops are read out of a picture: one warp for all, out of a pyramid of halvings.

Letters in shapes: n crops, s pixels of a crop's side, h w pixels of the picture, p points.

Where a crop shrinks the picture it reads from a copy that was averaged down to about its own resolution (Williams,
Pyramidal Parametrics, 1983); the copies lie side by side in one atlas, so a single `grid_sample` serves all crops,
whatever their sizes.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from vqclip.base.device import strengths
from vqclip.guidance.cutout_draws import Placement

_FINE = 2.0**36  # parts of the largest gradient; 2^26 of those, summed up, still fit into 64 bits


def place_crops(boxes: Tensor, height: int, width: int, size: int, largest: float | None = None) -> Placement:
    """Where boxes (n 4) lie in the pyramid; all tensors are the CPU's.

    The pyramid is as deep as the boxes need, or as a box with `largest` as its side would need.
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
    """The levels' shapes (l 2) as width and height, their places (l 2) in the atlas, and its extent (2)."""
    shapes = torch.tensor(
        [[width / 2**k, height / 2**k] for k in range(depth + 1)]
    )  # an odd side ends mid-texel
    widths = torch.tensor([math.ceil(width / 2**k) for k in range(depth + 1)])
    offsets = torch.stack([widths.cumsum(0) - widths, torch.zeros_like(widths)], 1)
    return shapes, offsets, torch.tensor([int(widths.sum()), height])


def warp(image: Tensor, maps: Tensor, placement: Placement, size: int, border: str) -> Tensor:
    """Sample crops (n 3 s s) of a picture (1 3 h w) through maps (n 3 3); all tensors lie on one device."""
    atlas = build_atlas(image, placement.depth)
    places = _crop_points(maps, size) / 2 + 0.5  # within the box, [0, 1]
    places = placement.low[:, None, None] + places * placement.sides[:, None, None]  # within the picture
    inside = ((places >= 0) & (places <= 1)).all(-1)
    texels = placement.texels[:, None, None]  # n 1 1 2
    texels_in = (_fold(places, border) * texels).clamp(min=0.5).minimum(texels - 0.5)
    grid = 2 * (texels_in + placement.offsets[:, None, None]) / placement.extent - 1

    tall = rearrange(grid, "n y x c -> 1 (n y) x c").to(image.dtype)
    pixels = rearrange(_sample(atlas, tall), "1 c (n y) x -> n c y x", y=size)
    return pixels.masked_fill(~inside[:, None], 0.5) if border == "grey" else pixels


def build_atlas(image: Tensor, depth: int) -> Tensor:
    """The picture and its halvings side by side (1 3 h w')."""
    levels = [image]
    for _ in range(depth):
        padded = pad_to_even if strengths(image.device).ordered_gradients else pad_in_order
        levels.append(F.avg_pool2d(padded(levels[-1]), 2))
    height = image.shape[2]
    return torch.cat([F.pad(level, (0, 0, 0, height - level.shape[2])) for level in levels], -1)


def pad_to_even(level: Tensor) -> Tensor:
    """Images (n c h w) with even sides; an odd side's last pixels are there twice."""
    odd_rows, odd_columns = (side % 2 for side in level.shape[2:])
    return F.pad(level, (0, odd_columns, 0, odd_rows), mode="replicate")


def pad_in_order(level: Tensor) -> Tensor:
    """As `pad_to_even`, by operations whose gradients a GPU adds in a fixed order."""
    odd_rows, odd_columns = (side % 2 for side in level.shape[2:])
    level = torch.cat([level, level[:, :, -1:]], 2) if odd_rows else level
    return torch.cat([level, level[..., -1:]], 3) if odd_columns else level


def _crop_points(maps: Tensor, size: int) -> Tensor:
    """Where the pixel centres of a crop come from: (n s s 2) in its box's [-1, 1]^2."""
    axis = (torch.arange(size, device=maps.device) + 0.5) * 2 / size - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)], -1)
    mapped = torch.einsum("nij,yxj->nyxi", maps, points)
    return mapped[..., :2] / mapped[..., 2:].clamp(min=1e-3)


def _fold(places: Tensor, border: str) -> Tensor:
    """Bring places outside [0, 1] back in, as the border says."""
    if border == "reflect":
        return 1 - (places % 2 - 1).abs()
    return places % 1 if border == "wrap" else places.clamp(0, 1)


def _sample(atlas: Tensor, grid: Tensor) -> Tensor:
    """Bilinear samples (1 c p q) of an atlas (1 c h w) at a grid (1 p q 2) that wants no gradient."""
    if strengths(atlas.device).ordered_gradients:
        return F.grid_sample(atlas, grid, mode="bilinear", align_corners=False)
    return GridSample.apply(atlas, grid)


class GridSample(torch.autograd.Function):
    """torch's grid_sample, whose own gradient is added on a GPU in whatever order threads come by."""

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
    """The gradient (1 c h w) of an atlas of which samples at a grid (1 p q 2) have the gradient `grad` (1 c p q).

    Sums are those of whole numbers, parts of the largest gradient, which are the same in any order. MPS, which may lack
    64 bits, adds numbers as they are.
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
    """For each of the four texels around the points of a grid: its index (p q) and its weight (p q)."""
    x, y = (((grid[..., i] + 1) * side - 1).flatten() / 2 for i, side in ((0, width), (1, height)))
    left, top = x.floor(), y.floor()
    for column, row in ((left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)):
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        index = row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
        yield index, (1 - (x - column).abs()) * (1 - (y - row).abs()) * inside


@contextmanager
def _in_any_order() -> Iterator[None]:
    """Let torch add in any order: its deterministic way would sort, which sums of whole numbers don't need."""
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode(0)
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)
