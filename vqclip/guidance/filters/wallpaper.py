"""Wallpaper: the image gets the symmetries of one of the 17 plane groups.

The groups' general positions are those of the International Tables for Crystallography, volume A, part 6. A pixel
belongs to a point of an integer lattice. Points that a symmetry takes into each other make up an orbit, and the pixels
of an orbit get the colour of one of them. So symmetries of rectangular and square lattices hold to the pixel. Those of
hexagonal lattices, which no grid of square pixels has, hold to the pixel in the lattice's own coordinates.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from vqclip.config.rules import among, within
from vqclip.guidance.interfaces import Apply, Filter, FilterTools

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# A symmetry (a, b, c, d, s, t) takes (u, v) to (a u + b v + s / 2, c u + d v + t / 2), in sides of the cell.
Symmetry = tuple[int, int, int, int, int, int]

_SAME, _HALF_TURN = (1, 0, 0, 1), (-1, 0, 0, -1)
_LEFT_RIGHT, _UP_DOWN = (-1, 0, 0, 1), (1, 0, 0, -1)
_QUARTERS = ((0, -1, 1, 0), (0, 1, -1, 0))
_DIAGONALS = ((0, 1, 1, 0), (0, -1, -1, 0))
_THIRDS = (_SAME, (0, -1, 1, -1), (-1, 1, -1, 0))
_SIXTHS = (*_THIRDS, _HALF_TURN, (0, 1, -1, 1), (1, -1, 1, 0))
_MIRRORS_M1 = ((0, -1, -1, 0), (-1, 1, 0, 1), (1, 0, 1, -1))
_MIRRORS_1M = ((0, 1, 1, 0), (1, -1, 0, -1), (-1, 0, -1, 1))
_WHOLE, _RIGHT, _BOTH = (0, 0), (1, 0), (1, 1)


def _at(shift: tuple[int, int], *turns: tuple[int, int, int, int]) -> list[Symmetry]:
    return [(*turn, *shift) for turn in turns]


_PMM = (_SAME, _HALF_TURN, _LEFT_RIGHT, _UP_DOWN)
GROUPS: dict[str, list[Symmetry]] = {
    "p1": _at(_WHOLE, _SAME),
    "p2": _at(_WHOLE, _SAME, _HALF_TURN),
    "pm": _at(_WHOLE, _SAME, _LEFT_RIGHT),
    "pg": _at(_WHOLE, _SAME) + _at((0, 1), _LEFT_RIGHT),
    "cm": _at(_WHOLE, _SAME, _LEFT_RIGHT) + _at(_BOTH, _SAME, _LEFT_RIGHT),
    "pmm": _at(_WHOLE, *_PMM),
    "pmg": _at(_WHOLE, _SAME, _HALF_TURN) + _at(_RIGHT, _LEFT_RIGHT, _UP_DOWN),
    "pgg": _at(_WHOLE, _SAME, _HALF_TURN) + _at(_BOTH, _LEFT_RIGHT, _UP_DOWN),
    "cmm": _at(_WHOLE, *_PMM) + _at(_BOTH, *_PMM),
    "p4": _at(_WHOLE, _SAME, _HALF_TURN, *_QUARTERS),
    "p4m": _at(_WHOLE, *_PMM, *_QUARTERS, *_DIAGONALS),
    "p4g": _at(_WHOLE, _SAME, _HALF_TURN, *_QUARTERS) + _at(_BOTH, _LEFT_RIGHT, _UP_DOWN, *_DIAGONALS),
    "p3": _at(_WHOLE, *_THIRDS),
    "p3m1": _at(_WHOLE, *_THIRDS, *_MIRRORS_M1),
    "p31m": _at(_WHOLE, *_THIRDS, *_MIRRORS_1M),
    "p6": _at(_WHOLE, *_SIXTHS),
    "p6m": _at(_WHOLE, *_SIXTHS, *_MIRRORS_M1, *_MIRRORS_1M),
}
HEXAGONAL = ("p3", "p3m1", "p31m", "p6", "p6m")
SQUARE = ("p4", "p4m", "p4g")
OFF_CENTRE = (0.17, 0.31)  # down and to the right, in sides of the cell


@dataclass(frozen=True, kw_only=True)
class Wallpaper(Filter):
    """Give the image the symmetries of a plane group, with so many cells along its shorter side."""

    kind: str = "wallpaper"
    group: str = among(*GROUPS, default="p4m")
    cells: int = within(1, 256, default=2)

    def open(self, tools: FilterTools) -> Apply:
        places: dict[tuple[int, int, torch.device], Tensor] = {}

        def apply(images: "Tensor") -> "Tensor":
            height, width = images.shape[2:]
            if (known := (height, width, images.device)) not in places:
                places[known] = sources(self.group, self.cells, height, width).to(images.device)
            return images.flatten(2).index_select(2, places[known]).view(images.shape)

        return apply


def cell_size(group: str, cells: int, height: int, width: int) -> tuple[int, int]:
    """Choose a cell's rows and columns in pixels, even and at least 2; of a hexagonal cell, its height and base."""
    shorter = min(height, width)
    if group in HEXAGONAL:
        side = max(2, shorter // cells // 2 * 2)
        return max(1, min(round(side * 3**0.5 / 2), height)), side
    return (max(2, shorter // cells // 2 * 2),) * 2


@lru_cache(maxsize=8)
def points(group: str, cells: int, height: int, width: int) -> "tuple[Tensor, Tensor, int]":
    """Compute each pixel's lattice point (h w) as u and v, modulo the number of points n along a cell's side; give n.

    On a hexagonal lattice, whose sides a and b meet at 120 degrees, a pixel belongs to the nearest point.
    """
    import torch  # noqa: PLC0415

    rows, side = cell_size(group, cells, height, width)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    if group not in HEXAGONAL:
        return x % side, y % side, side
    v = (2 * y * side + rows).div(2 * rows, rounding_mode="floor")  # y * side / rows, to the nearest
    u = x + v.div(2, rounding_mode="floor")
    return u % side, v % side, side


@lru_cache(maxsize=8)
def sources(group: str, cells: int, height: int, width: int) -> "Tensor":
    """Compute for each pixel (h w, flat) the pixel whose colour it gets: that of its orbit next to the middle."""
    import torch  # noqa: PLC0415

    u, v, side = points(group, cells, height, width)
    point = (v * side + u).flatten()
    order = _from_the_middle(side, height, width)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(height * width)
    # Each point's first pixel; a point without one comes behind all pixels.
    first = torch.full((side * side,), height * width).scatter_reduce(0, point, rank, "amin")
    best = torch.stack([first[image] for image in _orbit(group, side)]).amin(0)
    return order[best[point]]


def _orbit(group: str, side: int) -> "list[Tensor]":
    """Compute for each symmetry where it takes every point (n n, flat)."""
    import torch  # noqa: PLC0415

    v, u = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return [
        ((c * u + d * v + t * side // 2) % side * side + (a * u + b * v + s * side // 2) % side).flatten()
        for a, b, c, d, s, t in GROUPS[group]
    ]


def _from_the_middle(side: int, height: int, width: int) -> "Tensor":
    """Order the pixels (h w, flat) by their distance from a point near the image's middle, where motifs begin.

    The point lies on no symmetry, so that the pixels next to it among their orbits make up one region.
    """
    import torch  # noqa: PLC0415

    down, across = (
        (length // 2 + shift * side) for length, shift in zip((height, width), OFF_CENTRE, strict=True)
    )
    y, x = torch.arange(height).double() - down, torch.arange(width).double() - across
    return (y.square()[:, None] + x.square()).flatten().argsort(stable=True)
