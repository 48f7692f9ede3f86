"""Draw the random numbers of crops on the CPU, from a seed: boxes, warps, colour jitter, erased parts and noise.

Letters in shapes: n crops, h w pixels of the image.
"""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from vqclip.config.schema import CutoutsConfig
from vqclip.guidance.ops import homographies

NOISES = 2**20  # offsets in the table of noise at which a crop's noise may begin

_LUMA = torch.tensor([0.299, 0.587, 0.114])
_RGB_TO_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


@dataclass(frozen=True)
class Placement:
    """Locate crops in a mip map of the image, whose levels lie side by side in one atlas.

    `depth` is the last level. `low` and `sides` are a box's left and upper edge and its width and height, as shares of
    the image (n 2). `texels` (n 2) is the size of the box's level, and `offsets` (n 2) where that level begins in the
    atlas, whose size is `extent` (2).
    """

    depth: int
    low: Tensor
    sides: Tensor
    texels: Tensor
    offsets: Tensor
    extent: Tensor


@dataclass(frozen=True)
class CropDraw:
    """Hold what was drawn for n crops of an image.

    `matrix` (n 3 3) and `offset` (n 3 1 1) change colours, `strength` (n 1 1 1) is the standard deviation of the noise,
    and `blanks` (n 5) are the rectangles to erase. `noise` is the state (bytes) of the generator that draws the noise
    next, or the offset of each crop's noise in a table (n).
    """

    boxes: Tensor
    maps: Tensor
    placement: Placement
    matrix: Tensor
    offset: Tensor
    blanks: Tensor
    strength: Tensor
    noise: Tensor


def draw_boxes(n: int, height: int, width: int, c: CutoutsConfig, generator: Generator) -> Tensor:
    """Draw boxes (n 4), the anchors (whole image) first; sizes and positions are stratified, one crop a stratum."""
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


def largest_side(height: int, width: int, c: CutoutsConfig) -> float:
    """Compute the square root of the largest area, in pixels, that a box of `draw_boxes` can have."""
    anchors = c.anchors > 0
    if c.aspect == "squash":
        return max(c.largest, 1.0 if anchors else 0.0) * math.sqrt(height * width)
    return max(c.largest * min(height, width), max(height, width) if anchors else 0)


def draw_maps(n: int, c: CutoutsConfig, generator: Generator) -> Tensor:
    """Draw projective maps (n 3 3) of the crop's square [-1, 1]^2 into its box's."""
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


def draw_colours(n: int, c: CutoutsConfig, generator: Generator) -> tuple[Tensor, Tensor]:
    """Draw colour jitter: matrices (n 3 3) and offsets (n 3 1 1), for each crop with the probability `jitter`.

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


def draw_blanks(n: int, chance: float, generator: Generator) -> Tensor:
    """Draw rectangles to erase (n 5): upper, left, lower and right edge as shares of the crop's side, and 1 or 0.

    Each is a tenth to four tenths of the crop; the last number says whether it is erased.
    """
    draws = torch.rand(n, 5, generator=generator)
    area, ratio = 0.1 + 0.3 * draws[:, 1], (0.3 * 11 ** draws[:, 2])
    height, width = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    top, left = draws[:, 3] * (1 - height), draws[:, 4] * (1 - width)
    return torch.stack([top, left, top + height, left + width, (draws[:, 0] < chance).float()], 1)


def draw_noise(n: int, fixed: bool, generator: Generator) -> Tensor:
    """Draw each crop's offset in the table of noise (n) if `fixed`; without, give the generator's state."""
    return torch.randint(NOISES, (n,), generator=generator) if fixed else generator.get_state()
