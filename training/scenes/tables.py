"""Scenes as numbers, so that a device paints a batch of them without waiting for the CPU.

A pool keeps the latest drawn scenes as rows of numbers. Each batch takes some rows, moves everything a little, and
says of each scene with which matrices its cut-outs and wallpaper are sampled.

Letters in shapes: n scenes, d = 5 cut-outs of a scene at most, l tokens of a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from training.packed.reader import Vocabulary
from training.scenes.draws import Land, Ramp, Scene, SceneDraws, Wall
from training.scenes.places import PLACES
from vqclip.start.phrases import COLOURS

CUTS = 5
RAMP, LAND, WALL = range(3)
PLACE_NAMES, COLOUR_VALUES = tuple(PLACES), np.array([(0.0, 0.0, 0.0), *COLOURS.values()], np.float32)
_COLOUR_ROWS = {colour: row for row, colour in enumerate(COLOURS.values(), 1)}
Table = NDArray[np.void]  # rows of `row_type`
Floats = NDArray[np.floating]


def row_type(length: int) -> np.dtype[np.void]:
    """Describe a scene as numbers; `length` is that of its two sentences in tokens."""
    return np.dtype([
        ("kind", "i4"),  # of the ground
        ("ground", "i4"),  # its place or wallpaper
        ("numbers", "f4", 7),  # a ramp's colours and angle, a land's horizon, or a wallpaper's square
        ("cuts", "i4"),
        ("rows", "i4", CUTS),
        ("places", "f4", (CUTS, 5)),  # x, y, size, angle, and 1 or -1 where mirrored
        ("colours", "i4", CUTS),  # 0: as it is
        ("shown", "i4", 5),
        ("meant", "i4", (2, 5)),
        ("tokens", "i4", (2, length)),
    ])  # fmt: skip


def tabulate(scenes: Sequence[Scene], vocabulary: Vocabulary, length: int) -> Table:
    """Write scenes as rows of numbers."""
    table = np.zeros(len(scenes), row_type(length))
    table["places"][..., 2] = table["places"][..., 4] = 1
    for row, scene in zip(table, scenes, strict=True):
        row["kind"], row["ground"], numbers = _ground(scene)
        row["numbers"][: len(numbers)] = numbers
        row["cuts"] = len(scene.cuts)
        for depth, cut in enumerate(scene.cuts):
            p = cut.place
            row["rows"][depth] = cut.row
            row["places"][depth] = p.x, p.y, p.size, p.angle, -1 if p.mirrored else 1
            row["colours"][depth] = _COLOUR_ROWS[cut.colour] if cut.colour else 0
        row["shown"] = astuple(scene.shown)
        row["meant"] = [astuple(claim) for claim in scene.meant]
        row["tokens"] = [vocabulary.tokens(text, length) for text in scene.said]
    return table


def _ground(scene: Scene) -> tuple[int, int, tuple[float, ...]]:
    match scene.ground:
        case Ramp(one, two, angle):
            return RAMP, 0, (*one, *two, angle)
        case Land(place, horizon):
            return LAND, PLACE_NAMES.index(place), (horizon,)
        case Wall(row, x, y, side, mirrored):
            return WALL, row, (x, y, side, -1.0 if mirrored else 1.0)


class ScenePool:
    """The latest scenes: new ones replace the oldest, and batches are drawn from all."""

    def __init__(self, draws: SceneDraws, vocabulary: Vocabulary, length: int, size: int):
        self._draws, self._vocabulary, self._length = draws, vocabulary, length
        self._table = np.zeros(size, row_type(length))
        self._count = 0  # of all scenes so far

    def add(self, count: int) -> Table:
        """Draw new scenes into the pool; return them."""
        new = tabulate([self._draws.make() for _ in range(count)], self._vocabulary, self._length)
        places = (self._count + np.arange(count)) % len(self._table)
        self._table[places] = new
        self._count += count
        return new

    def draw(self, count: int, random: np.random.Generator) -> Table:
        """Draw scenes of the pool, each moved a little, and half of them mirrored."""
        table = self._table[random.integers(min(self._count, len(self._table)), size=count)]
        _shake(table, random)
        _mirror(table, _mirrored(random, count))
        return table


def _shake(table: Table, random: np.random.Generator) -> None:
    n, places = len(table), table["places"]
    places[..., :2] += random.uniform(-0.06, 0.06, (n, CUTS, 2))
    places[..., 2] *= np.exp(random.uniform(-0.08, 0.08, (n, CUTS)))
    places[..., 3] += random.normal(0, 0.05, (n, CUTS))
    ramps = table["kind"] == RAMP
    moved = table["numbers"][:, :6] + random.normal(0, 0.02, (n, 1)) + random.normal(0, 0.01, (n, 6))
    table["numbers"][ramps, :6] = moved.clip(0, 1)[ramps]


def _mirrored(random: np.random.Generator, count: int) -> NDArray[np.bool_]:
    return random.random(count) < 0.5


def _mirror(table: Table, where: NDArray[np.bool_]) -> None:
    signs = np.where(where, -1.0, 1.0)
    table["places"][..., 0] *= signs[:, None]
    table["places"][..., 3:] *= signs[:, None, None]
    ramps, walls = table["kind"] == RAMP, table["kind"] == WALL
    table["numbers"][ramps & where, 6] = np.pi - table["numbers"][ramps & where, 6]
    table["numbers"][walls, 3] *= signs[walls]


def zoom(table: Table, random: np.random.Generator, most: float = 2.5) -> None:
    """Look at a part of each scene, down to 1 / `most` of its side; what it is said to show may then be missing."""
    n = len(table)
    times = np.exp(random.uniform(0, np.log(most), n))
    centre = random.uniform(-1, 1, (n, 2)) * (1 - 1 / times)[:, None]
    places = table["places"]
    places[..., :2] = (places[..., :2] - centre[:, None]) * times[:, None, None]
    places[..., 2] *= times[:, None]
    lands, walls = table["kind"] == LAND, table["kind"] == WALL
    horizon = ((2 * table["numbers"][:, 0] - 1 - centre[:, 1]) * times + 1) / 2
    table["numbers"][lands, 0] = horizon.clip(0.05, 0.95)[lands]
    table["numbers"][walls, 2] /= times[walls]


@dataclass(frozen=True)
class Matrices:
    """From a point of the picture to one of each cut-out (n d 2 3) and of the wallpaper (n 2 3)."""

    cuts: Floats
    walls: Floats


def matrices(table: Table, shape: float) -> Matrices:
    """Compute with which matrices a batch is sampled; `shape` is a wallpaper's height as a share of its width."""
    x, y, size, angle, sign = np.moveaxis(table["places"].astype(np.float64), -1, 0)
    cos, sin = np.cos(angle) / size, np.sin(angle) / size
    rows = (sign * cos, sign * sin, -sign * (cos * x + sin * y), -sin, cos, sin * x - cos * y)
    wx, wy, side, mirrored = np.moveaxis(table["numbers"][:, :4].astype(np.float64), -1, 0)
    across, zero = side * shape, np.zeros_like(side)
    walls = (mirrored * across, zero, wx * (1 - across), zero, side, wy * (1 - side))
    return Matrices(*(np.stack(m, -1).reshape(*m[0].shape, 2, 3).astype(np.float32) for m in (rows, walls)))
