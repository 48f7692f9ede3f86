"""How the picture is looked at: random crops, all of a step's taken by one warp.

Letters in shapes: n crops, s pixels of a crop's side, h w pixels of the picture.

Every crop's box, mirror image, rotation, shear, shift and tilt compose into one projective map. Where a crop shrinks
the picture it reads from a copy that was averaged down to about its own resolution (Williams, Pyramidal Parametrics,
1983); the copies lie side by side in one atlas, so a single `grid_sample` serves all crops, whatever their sizes.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Generator, Tensor

from vqclip.ops import homographies
from vqclip.schema import CutoutsConfig

_LUMA = torch.tensor([0.299, 0.587, 0.114])
_RGB_TO_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


@dataclass(frozen=True)
class Crops:
    """One draw of views: pixels (n 3 s s) in about [0, 1], boxes (n 4) of picture pixels (left, top, right, bottom)."""

    pixels: Tensor
    boxes: Tensor


class Cutouts:
    """Draws crops as a CutoutsConfig says."""

    def __init__(self, config: CutoutsConfig):
        self.config = config

    def of(self, picture: Tensor, size: int, seed: int, count: int | None = None) -> Crops:
        """`count` crops of `size` pixels of a picture (1 3 h w), to which gradients flow. All chance is in `seed`."""
        generator = Generator().manual_seed(seed)
        n, (height, width) = count or self.config.count, picture.shape[-2:]
        boxes = draw_boxes(n, height, width, self.config, generator)
        maps = draw_maps(n, self.config, generator)
        pixels = warp(picture, boxes, maps, size, self.config.border)
        return Crops(self._recolour(pixels, generator), boxes)

    def _recolour(self, pixels: Tensor, generator: Generator) -> Tensor:
        """Colour jitter, noise and blanked rectangles, where they are asked for."""
        c, (n, _, s, _) = self.config, pixels.shape
        matrix, offset = draw_colours(n, c, generator)
        kept = draw_blanks(n, s, c.erase, generator)
        if c.jitter > 0:
            pixels = torch.einsum("nij,njyx->niyx", matrix.to(pixels), pixels) + offset.to(pixels)
        if c.noise > 0:
            strength = c.noise * torch.rand(n, 1, 1, 1, generator=generator)
            pixels = pixels + strength.to(pixels) * draw_noise(pixels, generator)
        return pixels * kept.to(pixels) if c.erase > 0 else pixels


def draw_boxes(n: int, height: int, width: int, c: CutoutsConfig, generator: Generator) -> Tensor:
    """Boxes (n 4), the anchors (whole picture) first. Sizes and places are stratified: no two crops share a stratum."""
    order = torch.stack([torch.randperm(n, generator=generator) for _ in range(3)])
    size, x, y = (order + torch.rand(3, n, generator=generator)) / n
    share = c.smallest + (c.largest - c.smallest) * size**c.power
    anchors = min(c.anchors, n)
    extent = torch.tensor([width, height], dtype=torch.float32)
    if c.aspect == "squash":
        share[:anchors] = 1
        sides = share[:, None] * extent
    else:
        sides = (share * extent.min())[:, None].repeat(1, 2)
        sides[:anchors] = extent.max()
    low = sides * (0.5 - c.beyond)
    room = extent - 2 * low
    centres = torch.where(room > 0, low + torch.stack([x, y], 1) * room, extent / 2)
    centres[:anchors] = extent / 2
    return torch.cat([centres - sides / 2, centres + sides / 2], 1)


def draw_maps(n: int, c: CutoutsConfig, generator: Generator) -> Tensor:
    """Projective maps (n 3 3) of the crop's square [-1, 1]^2 into its box's."""
    unit = torch.rand(n, 14, generator=generator)
    signed = 2 * unit - 1
    warped, flipped = (unit[:, 0] < c.warp).float(), unit[:, 1] < c.flip
    angle, shear = (
        signed[:, 2] * warped * math.radians(c.rotate),
        signed[:, 3] * warped * math.tan(math.radians(c.shear)),
    )
    mirror = torch.where(flipped, -1.0, 1.0)
    affine = torch.zeros(n, 3, 3)
    affine[:, 0, 0], affine[:, 0, 1] = mirror * angle.cos(), shear - angle.sin()
    affine[:, 1, 0], affine[:, 1, 1] = mirror * angle.sin(), angle.cos()
    affine[:, :2, 2] = signed[:, 4:6] * 2 * c.shift * warped[:, None]
    affine[:, 2, 2] = 1
    square = torch.tensor([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
    inwards = 1 - c.perspective * unit[:, 6:14].view(n, 4, 2) * warped[:, None, None]
    return homographies(square * inwards) @ affine


def warp(picture: Tensor, boxes: Tensor, maps: Tensor, size: int, border: str) -> Tensor:
    """Sample crops (n 3 s s) of a picture (1 3 h w); boxes (n 4) and maps (n 3 3) lie on the CPU."""
    height, width = picture.shape[-2:]
    sides = boxes[:, 2:] - boxes[:, :2]
    shrink = sides.prod(1).sqrt() / size
    levels = shrink.log2().round().clamp(0, math.log2(min(height, width))).long()
    atlas, shapes, offsets = build_atlas(picture, int(levels.max()))

    places = _crop_points(maps.to(picture.device), size) / 2 + 0.5  # within the box, [0, 1]
    frame = torch.tensor([width, height])
    low, side = (t.to(picture.device)[:, None, None] for t in (boxes[:, :2] / frame, sides / frame))
    places = low + places * side  # within the picture, [0, 1]
    inside = ((places >= 0) & (places <= 1)).all(-1)
    texels = shapes[levels].to(picture.device)[:, None, None]  # n 1 1 2
    texels_in = (_fold(places, border) * texels).clamp(min=0.5).minimum(texels - 0.5)
    grid = texels_in + offsets[levels].to(picture.device)[:, None, None] * torch.tensor(
        [1, 0], device=picture.device
    )
    grid = 2 * grid / torch.tensor([atlas.shape[-1], atlas.shape[-2]], device=picture.device) - 1

    tall = rearrange(grid, "n y x c -> 1 (n y) x c").to(picture.dtype)
    pixels = F.grid_sample(atlas, tall, mode="bilinear", align_corners=False)
    pixels = rearrange(pixels, "1 c (n y) x -> n c y x", y=size)
    return torch.where(inside[:, None], pixels, 0.5) if border == "grey" else pixels


def build_atlas(picture: Tensor, deepest: int) -> tuple[Tensor, Tensor, Tensor]:
    """The picture and its halvings side by side (1 3 h w'), their shapes (l 2) as width, height, and offsets (l 1)."""
    levels = [picture]
    for _ in range(deepest):
        odd_rows, odd_columns = (side % 2 for side in levels[-1].shape[-2:])
        levels.append(F.avg_pool2d(F.pad(levels[-1], (0, odd_columns, 0, odd_rows), mode="replicate"), 2))
    height, width = picture.shape[-2:]
    atlas = torch.cat([F.pad(level, (0, 0, 0, height - level.shape[-2])) for level in levels], -1)
    shapes = torch.tensor(
        [[width / 2**k, height / 2**k] for k in range(len(levels))]
    )  # an odd side ends mid-texel
    widths = torch.tensor([[level.shape[-1]] for level in levels])
    offsets = widths.cumsum(0) - widths
    return atlas, shapes, offsets


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


def draw_colours(n: int, c: CutoutsConfig, generator: Generator) -> tuple[Tensor, Tensor]:
    """Colour maps: matrices (n 3 3) and offsets (n 3 1 1), the identity where the chance `jitter` passes a crop by.

    Brightness scales, contrast scales about mid-grey, saturation scales about the luma and hue turns the
    chroma plane of YIQ; being linear, they compose into one matrix.
    """
    draws = torch.rand(n, 5, generator=generator)
    chosen = (draws[:, 0] < c.jitter).float()
    signed = (2 * draws[:, 1:] - 1) * chosen[:, None]
    brightness, contrast, saturation = (
        1 + signed[:, :3] * torch.tensor([c.brightness, c.contrast, c.saturation])
    ).T
    angle = 2 * math.pi * c.hue * signed[:, 3]
    turn = torch.eye(3).repeat(n, 1, 1)
    turn[:, 1, 1] = turn[:, 2, 2] = angle.cos()
    turn[:, 1, 2], turn[:, 2, 1] = -angle.sin(), angle.sin()
    hue = torch.linalg.inv(_RGB_TO_YIQ) @ turn @ _RGB_TO_YIQ
    saturate = saturation[:, None, None] * torch.eye(3) + (1 - saturation)[:, None, None] * _LUMA.expand(3, 3)
    matrix = (brightness * contrast)[:, None, None] * (hue @ saturate)
    offset = (brightness * (1 - contrast) / 2)[:, None, None, None].expand(n, 3, 1, 1)
    return matrix, offset


def draw_noise(pixels: Tensor, generator: Generator) -> Tensor:
    """Normal numbers for pixels, drawn where those lie: a GPU would wait for millions of them."""
    there = pixels.device
    if there != generator.device:
        generator = Generator(there).manual_seed(generator.initial_seed())
    return torch.randn(pixels.shape, generator=generator, device=there).to(pixels)


def draw_blanks(n: int, size: int, chance: float, generator: Generator) -> Tensor:
    """Masks (n 1 s s): 0 in a rectangle of a tenth to four tenths of the crop, 1 elsewhere."""
    draws = torch.rand(n, 5, generator=generator)
    area, ratio = 0.1 + 0.3 * draws[:, 1], (0.3 * 11 ** draws[:, 2])
    height, width = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    top, left = draws[:, 3] * (1 - height), draws[:, 4] * (1 - width)
    axis = (torch.arange(size) + 0.5) / size
    rows = (axis >= top[:, None]) & (axis < (top + height)[:, None])
    columns = (axis >= left[:, None]) & (axis < (left + width)[:, None])
    blank = rows[:, None, :, None] & columns[:, None, None, :] & (draws[:, :1] < chance)[:, :, None, None]
    return 1 - blank.float()
