"""Compositions: cut-outs over fresh backgrounds, scaled, shifted, turned and, where wished, recoloured.

Letters in shapes: s the side of the square picture in pixels. Colours are floats in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.images.dataset import Dataset
from vqclip.start.layout import OPAQUE, SHADES, tint
from vqclip.start.phrases import COLOURS


@dataclass(frozen=True)
class Placement:
    """Where a cut-out lies: centre in [-1, 1], size as a share of the picture's side, angle in radians."""

    x: float = 0.0
    y: float = 0.0
    size: float = 0.8
    angle: float = 0.0
    mirrored: bool = False


class Composer:
    """Draws compositions from one split of the data set; every random choice comes from its own generator."""

    def __init__(self, data: Dataset, rows: np.ndarray, walls: np.ndarray, seed: int):
        self.data, self.rows, self.walls = data, rows, walls
        self.random = np.random.default_rng(seed)

    def plain(self, s: int, colour: str | None = None) -> Tensor:
        """A background of one colour, a little off its name: 3 s s."""
        base = COLOURS[colour] if colour else self.random.random(3)
        return self._near(base).view(3, 1, 1).expand(3, s, s).clone()

    def gradient(self, s: int, colour: str | None = None) -> Tensor:
        """A background that runs from one colour to another (or to a shade of itself): 3 s s."""
        one = (
            self._near(COLOURS[colour])
            if colour
            else torch.tensor(self.random.random(3), dtype=torch.float32)
        )
        two = (
            (one * self._between(0.55, 1.3)).clamp(0, 1)
            if colour
            else torch.tensor(self.random.random(3), dtype=torch.float32)
        )
        angle = self._between(0, 2 * math.pi)
        line = torch.linspace(-0.5, 0.5, s)
        ramp = (0.5 + line * math.cos(angle) + line[:, None] * math.sin(angle)).clamp(0, 1)
        return one.view(3, 1, 1) * (1 - ramp) + two.view(3, 1, 1) * ramp

    def wallpaper(self, s: int, row: int | None = None, smallest: float = 0.5) -> Tensor:
        """A crop of a photograph or painting, between `smallest` of its height and all of it: 3 s s."""
        picture = self.data.wallpapers[
            self.walls[self.random.integers(len(self.walls))] if row is None else row
        ]
        height, width = picture.shape[:2]
        side = int(height * self._between(smallest, 1.0))
        top, left = self.random.integers(height - side + 1), self.random.integers(width - side + 1)
        crop = (
            torch.from_numpy(np.array(picture[top : top + side, left : left + side]))
            .permute(2, 0, 1)[None]
            .float()
        )
        crop = F.interpolate(crop, size=(s, s), mode="bilinear", antialias=True, align_corners=False)[0] / 255
        return crop.flip(2) if self.random.random() < 0.5 else crop

    def background(self, s: int) -> Tensor:
        """Any of the three kinds."""
        kind = self.random.random()
        if kind < 0.35:
            white = self.random.random() < 0.35
            return self.plain(s, "white" if white else None)
        return self.gradient(s) if kind < 0.6 else self.wallpaper(s)

    def sprite(self, row: int) -> Tensor:
        """A cut-out with premultiplied alpha: 4 144 144."""
        picture = torch.from_numpy(np.array(self.data.sprites[row])).permute(2, 0, 1).float() / 255
        return torch.cat([picture[:3] * picture[3:], picture[3:]])

    def placement(self, smallest: float, largest: float, shift: float = 0.3, turn: float = 0.25) -> Placement:
        """A random place; most cut-outs stand nearly upright."""
        return Placement(
            self._between(-shift, shift),
            self._between(-shift, shift),
            self._between(smallest, largest),
            float(self.random.normal()) * turn,
            bool(self.random.random() < 0.5),
        )

    def any(self, s: int, smallest: float = 0.5, largest: float = 1.6) -> Tensor:
        """A picture as an autoencoder should know it: 3 s s, objects in every size, several or none."""
        if self.random.random() < 0.22:
            return self.wallpaper(s, smallest=s / 288)
        canvas = self.background(s)
        for _ in range(1 + int(self.random.random() < 0.3)):
            row = int(self.rows[self.random.integers(len(self.rows))])
            canvas = lay(canvas, self.sprite(row), self.placement(smallest, largest, shift=0.6))
        return canvas

    def batch(self, n: int, s: int, **options: float) -> Tensor:
        """Several of `any`, in [-1, 1]: n 3 s s."""
        with one_thread():
            return torch.stack([self.any(s, **options) for _ in range(n)]) * 2 - 1

    def _near(self, colour: tuple[float, ...] | np.ndarray) -> Tensor:
        return torch.tensor(np.clip(colour + self.random.normal(0, 0.03, 3), 0, 1), dtype=torch.float32)

    def _between(self, low: float, high: float) -> float:
        return float(self.random.uniform(low, high))


@contextmanager
def one_thread() -> Iterator[None]:
    """Many small operations are three times slower when each of them wakes a second thread (7 → 2 ms a picture)."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def lay(canvas: Tensor, sprite: Tensor, place: Placement) -> Tensor:
    """Lay a premultiplied cut-out (4 t t) over a canvas (3 s s)."""
    s = canvas.shape[-1]
    while sprite.shape[-1] / (place.size * s) > 1.6:  # halve first: bilinear sampling alone would alias
        sprite = F.avg_pool2d(sprite[None], 2)[0]
    theta = torch.tensor([affine(place)])
    grid = F.affine_grid(theta, [1, 4, s, s], align_corners=False)
    layer = F.grid_sample(sprite[None], grid, align_corners=False)[0]
    return layer[:3] + canvas * (1 - layer[3:])


def affine(place: Placement) -> list[list[float]]:
    """The matrix (2 3) that gives the point of a cut-out that lies at a point of the picture, both in [-1, 1]."""
    cos, sin = math.cos(place.angle) / place.size, math.sin(place.angle) / place.size
    sign = -1.0 if place.mirrored else 1.0
    return [
        [sign * cos, sign * sin, -sign * (cos * place.x + sin * place.y)],
        [-sin, cos, sin * place.x - cos * place.y],
    ]


def recolour(sprite: Tensor, colour: str, strength: float = OPAQUE) -> Tensor:
    """Paint a premultiplied cut-out (4 t t) in one colour, its light and shade kept."""
    shades = 0.35 if colour in ("black", "white") else SHADES
    return tint(sprite[None], COLOURS[colour], shades, strength)[0]
