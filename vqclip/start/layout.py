"""Compose an image of any size from a background and drawings at given positions.

Letters in shapes: drawings of t x t pixels with premultiplied alpha, backgrounds of g x g, images of h x w.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from vqclip.guidance import ops

SHADES = 0.6  # share of its light and shade that a drawing keeps in a new colour
OPAQUE = 0.9  # opacity of the new colour over the old one
LUMA = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
HALF = 0.5  # of a mask: what is above lies within

# For each number of copies: their size and their centres, as shares of the largest centred square of the image.
_SPREADS: dict[int, tuple[float, tuple[tuple[float, float], ...]]] = {
    1: (0.86, ((0.5, 0.5),)),
    2: (0.5, ((0.25, 0.5), (0.75, 0.5))),
    3: (0.46, ((0.5, 0.27), (0.25, 0.72), (0.75, 0.72))),
    4: (0.45, ((0.27, 0.27), (0.73, 0.27), (0.27, 0.73), (0.73, 0.73))),
    5: (0.36, ((0.2, 0.28), (0.5, 0.28), (0.8, 0.28), (0.33, 0.72), (0.67, 0.72))),
    6: (0.36, ((0.2, 0.28), (0.5, 0.28), (0.8, 0.28), (0.2, 0.72), (0.5, 0.72), (0.8, 0.72))),
    7: (0.31, ((0.5, 0.5), *((0.5 + 0.33 * x, 0.5 + 0.33 * y) for x, y in
               ((-0.5, -0.9), (0.5, -0.9), (1, 0), (0.5, 0.9), (-0.5, 0.9), (-1, 0))))),
}  # fmt: skip
_GRID = (0.31, tuple((x, y) for y in (0.18, 0.5, 0.82) for x in (0.18, 0.5, 0.82)))


@dataclass(frozen=True)
class Layer:
    """Place a drawing (4 t t): its centre and size are shares of the largest centred square of the image."""

    drawing: Tensor
    x: float = 0.5
    y: float = 0.5
    size: float = 0.86

    def within(self, x: float, y: float, size: float) -> "Layer":
        """Place the layer in a part of the square, with this centre and size."""
        return Layer(self.drawing, x + (self.x - 0.5) * size, y + (self.y - 0.5) * size, self.size * size)

    def centre(self, height: int, width: int) -> tuple[float, float]:
        """Compute the row and the column of its centre in an image."""
        short = min(height, width)
        return (height - short) / 2 + self.y * short, (width - short) / 2 + self.x * short


@dataclass(frozen=True)
class Layout:
    """Hold layers over a background (3 g g), which is stretched to the image.

    `is_bare` says that nobody asked for this background, so that the layers may as well lie over another one.
    """

    ground: Tensor
    layers: Sequence[Layer] = ()
    is_bare: bool = False

    def image(self, height: int, width: int) -> Tensor:
        """Compose the image (1 3 h w) in [0, 1]."""
        return self._layered(ops.resize(self.ground[None], height, width))

    def within(self, image: Tensor, mask: Tensor) -> Tensor:
        """Compose the layout over an image (1 3 h w) where a mask (1 1 h w) is 1.

        The layout fills the box around the mask. If the box's centre lies outside the mask, as that of a frame does,
        copies of its first drawing lie in the mask instead.
        """
        rows, columns = (torch.where(mask[0, 0].amax(axis) > HALF)[0] for axis in (1, 0))
        if not len(rows):
            return image
        box = (slice(None), slice(None), slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        under, shape = image[box], mask[box]
        ground = under if self.is_bare else ops.resize(self.ground[None], *under.shape[2:])
        drawn = replace(self, layers=_in_shape(self.layers, shape[0, 0]))._layered(ground)
        image = image.clone()
        image[box] = torch.lerp(under, drawn, shape.to(under))
        return image

    def _layered(self, image: Tensor) -> Tensor:
        for layer in self.layers:
            image = _lay(image, layer)
        return image.clamp(0, 1)


def _in_shape(layers: Sequence[Layer], shape: Tensor) -> Sequence[Layer]:
    """Keep layers as they are if a shape (h w) contains its box's centre; else give copies that lie in it."""

    def is_inside(layer: Layer) -> bool:
        row, column = layer.centre(*shape.shape)
        return bool(shape[int(row), int(column)] > HALF)

    if not layers or is_inside(Layer(layers[0].drawing)):
        return layers
    return [layer for layer in copies(layers[0].drawing, len(_GRID[1])) if is_inside(layer)]


def copies(drawing: Tensor, count: int) -> list[Layer]:
    """Place `count` copies of a drawing, nine at most."""
    size, positions = _SPREADS.get(count, _GRID)
    return [Layer(drawing, x, y, size) for x, y in positions[: max(1, count)]]


def plain(colour: tuple[float, float, float]) -> Tensor:
    """Make a background of one colour."""
    return torch.tensor(colour).view(3, 1, 1).expand(3, 8, 8)


def pale_sky() -> Tensor:
    """Make a sky-blue gradient, the background where a prompt names no place."""
    top, bottom = torch.tensor([[0.55, 0.78, 0.95], [0.93, 0.96, 0.95]]).view(2, 3, 1, 1)
    return torch.lerp(top, bottom, torch.linspace(0, 1, 8)[:, None]).expand(3, 8, 8)


def has(drawing: Tensor, colour: tuple[float, float, float], tolerance: float = 0.25) -> bool:
    """Tell whether the mean colour of a premultiplied drawing (4 t t) is within `tolerance` of a colour."""
    mean = drawing[:3].sum((1, 2)) / drawing[3].sum().clamp(min=1)
    return bool((mean - torch.tensor(colour).to(mean)).abs().max() < tolerance)


def tint(
    drawings: Tensor, colour: tuple[float, float, float], shades: float = SHADES, opaque: float = OPAQUE
) -> Tensor:
    """Tint premultiplied drawings (n 4 t t) with one colour; they keep their light and shade."""
    return tint_each(
        drawings, torch.tensor(colour).view(3, 1, 1).to(drawings), LUMA.to(drawings), shades, opaque
    )


def tint_each(
    drawings: Tensor, colours: Tensor, luma: Tensor, shades: float = SHADES, opaque: float = OPAQUE
) -> Tensor:
    """Tint each drawing with its colour (n 3 1 1); `luma` is LUMA where the drawings are."""
    alpha = drawings[:, 3:]
    light = (drawings[:, :3] * luma).sum(1, keepdim=True)
    mean = light.sum((2, 3), keepdim=True) / alpha.sum((2, 3), keepdim=True).clamp(min=1)
    shade = alpha + shades * (light - mean * alpha)
    painted = torch.minimum(colours * shade, alpha)
    return torch.cat([opaque * painted + (1 - opaque) * drawings[:, :3], alpha], 1)


def _lay(image: Tensor, layer: Layer) -> Tensor:
    """Blend a drawing over an image (1 3 h w), and cut what lies outside."""
    height, width = image.shape[2:]
    short = min(height, width)
    side = max(1, round(layer.size * short))
    top, left = (round(middle - side / 2) for middle in layer.centre(height, width))
    drawn = ops.resize(layer.drawing[None].to(image), side, side).clamp(0, 1)
    over = F.pad(drawn, (left, width - left - side, top, height - top - side))
    return over[:, :3] + image * (1 - over[:, 3:])
