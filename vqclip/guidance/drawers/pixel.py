"""The PixelDrawer: a grid of colours, each shown as a square, a hexagon or a triangle with exact edges.

Letters in shapes: a latent (n 3 y x) holds the colours themselves, in [0, 1]; h w are the pixels of the saved image.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vqclip.base.errors import ConfigError
from vqclip.guidance import motion
from vqclip.guidance.latent import enlarge
from vqclip.guidance.ops import cover, resize

HEX_ROW = math.sqrt(3) / 2  # the distance of a regular honeycomb's rows, where its columns' is one


class PixelDrawer:
    """Draw images (n 3 h w) in which each pixel has the colour of the cell that its middle lies in."""

    unit, encodes = 1.0, True

    def __init__(
        self, width: int, height: int, device: torch.device, grid: tuple[int, int], shape: str = "square",
        tile: bool = False,
    ):  # fmt: skip
        self.width, self.height, self.device, self.grid = width, height, device, grid
        self.shape, self.tile = shape, tile
        if tile:
            _check_tile(shape, grid)
        self._maps: dict[tuple[int, int], Tensor] = {}

    def latent_shape(self, scale: float = 1.0) -> tuple[int, int]:
        if self.tile:
            return self.grid  # a coarser grid may be no tile
        rows, columns = (max(1, round(side * scale)) for side in self.grid)
        return rows, columns

    def drawn_size(self, shape: tuple[int, int]) -> tuple[int, int]:
        return self.height, self.width

    def decode(self, z: Tensor, shifts: Tensor | None = None, recompute: bool = False) -> Tensor:
        cells = self._cells((z.shape[2], z.shape[3]))
        return torch.unflatten(z.flatten(2).index_select(2, cells), 2, (self.height, self.width))

    def decode_full(self, z: Tensor) -> Tensor:
        return self.decode(z)

    def decode_output(self, z: Tensor) -> Tensor:
        return self.decode(z)

    def shifts(self, shape: tuple[int, int], seeds: Sequence[int]) -> None:
        return None

    @torch.no_grad()
    def encode(self, image: Tensor, shape: tuple[int, int]) -> Tensor:
        """Give each cell the mean of its pixels; one that has none, the colour near it."""
        pixels = cover(image, self.height, self.width).clamp(0, 1).flatten(2).cpu()
        cells, count = self._cells(shape).cpu(), math.prod(shape)
        sums = torch.zeros(1, 3, count).index_add(2, cells, pixels)
        sizes = torch.zeros(count).index_add(0, cells, torch.ones(len(cells)))
        near = resize(image.cpu(), *shape).clamp(0, 1).flatten(2)
        colours = torch.where(sizes > 0, sums / sizes.clamp(min=1), near)
        return torch.unflatten(colours, 2, shape).to(self.device)

    def random_latent(self, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        return torch.rand(1, 3, *shape, generator=generator).to(self.device)

    def project(self, z: Tensor) -> None:
        """Clamp colours to [0, 1], in place."""
        z.clamp_(0, 1)

    def resize(self, x: Tensor, rows: int, columns: int) -> Tensor:
        return enlarge(x, rows, columns)

    def moved(self, moments: Tensor, grid: Callable[[tuple[int, int]], Tensor], border: str) -> Tensor:
        """Move the moments cell by cell."""
        return motion.sample(moments, grid((moments.shape[2], moments.shape[3])), border, "bilinear")

    def _cells(self, shape: tuple[int, int]) -> Tensor:
        """Give the number of the cell (h·w) that each pixel's middle lies in; cells count along rows."""
        if shape not in self._maps:
            # On the CPU: not every device has 64-bit floats.
            y, x = (
                (torch.arange(side, dtype=torch.float64) + 0.5) / side for side in (self.height, self.width)
            )
            row, column = _SHAPES[self.shape](y[:, None], x[None], *shape, self.tile)
            self._maps[shape] = (row * shape[1] + column).flatten().to(self.device)
        return self._maps[shape]


Place = tuple[Tensor, Tensor]  # the row and the column of a cell


def squares(y: Tensor, x: Tensor, rows: int, columns: int, tile: bool) -> Place:
    """Find the rectangle that points (h 1) and (1 w) in [0, 1] lie in."""
    return (y * rows).long(), (x * columns).long()


def hexagons(y: Tensor, x: Tensor, rows: int, columns: int, tile: bool) -> Place:
    """Find the nearest middle of a honeycomb, in which odd rows lie half a cell to the right of even ones.

    Where it doesn't tile, cells at the border reach out to it.
    """
    down, right = y * rows - 0.5, x * columns - 0.5
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for step in (0, 1):
        row = down.floor() + step
        row = row if tile else row.clamp(0, rows - 1)
        shift = 0.5 * (row % 2) - 0.25
        column = (right - shift).round()
        column = column if tile else column.clamp(0, columns - 1)
        distance = ((down - row) * HEX_ROW).square() + (right - shift - column).square()
        found.append((distance, row % rows + 0 * column, column % columns))
    (first, *above), (second, *below) = found
    row, column = (torch.where(first <= second, a, b) for a, b in zip(above, below, strict=True))
    return row.long(), column.long()


def triangles(y: Tensor, x: Tensor, rows: int, columns: int, tile: bool) -> Place:
    """Find the triangle: each row has as many as columns, which stand on their base and on their tip in turn.

    Where it doesn't tile, a row begins and ends with half a triangle.
    """
    row, right = (y * rows).floor(), x * (columns if tile else max(1, columns - 1))
    left = right.floor()
    down, along = y * rows - row, right - left
    rises = (left + row) % 2 == 0  # whether the edge between this triangle and the next one goes up
    is_next = torch.where(rises, down + along > 1, along > down)
    return (row + 0 * left).long(), ((left + is_next) % columns).long()


_SHAPES = {"square": squares, "hex": hexagons, "triangle": triangles}


def _check_tile(shape: str, grid: tuple[int, int]) -> None:
    """Refuse a grid whose cells don't meet over the border; raises ConfigError."""
    rows, columns = grid
    side, count = {"hex": ("rows", rows), "triangle": ("columns", columns)}.get(shape, ("", 0))
    if count % 2:
        even = f"{columns}x{rows + 1}" if side == "rows" else f"{columns + 1}x{rows}"
        raise ConfigError(
            f"drawer.pixels: {columns}x{rows} {shape} pixels are no tile; their {side} must be even, as in {even}"
        )
