"""Scenes drawn by lot: which cut-outs lie where, on what ground, and two sentences about each."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from training.images.words import with_article
from training.scenes.captioned import stem_of, weight
from training.scenes.captions import Claim, Names, dressed, phrase
from training.scenes.compose import Placement
from training.scenes.places import PHOTOGRAPHS, PLACES
from vqclip.start.phrases import COLOURS

Colour = tuple[float, float, float]
WORDS = 4  # synonyms of a name that sentences use
LINKS = ("and", "next to", "with", "beside")
SENTENCES = (*LINKS, "on a background", "a landscape", "a an")
COLOUR_NAMES = tuple(COLOURS)
NOTHING = Claim(-1)
SPREAD = tuple((x, y) for x in (-0.52, 0.0, 0.52) for y in (-0.52, 0.0, 0.52))


@dataclass(frozen=True)
class Ramp:
    """A ground of one colour, or one that runs from a colour to another at an angle in radians."""

    one: Colour
    two: Colour
    angle: float = 0.0


@dataclass(frozen=True)
class Land:
    """A ground of a place: sky above a horizon, which is a share of the height."""

    place: str
    horizon: float


@dataclass(frozen=True)
class Wall:
    """A square of a wallpaper: its centre in [-1, 1] and its side as a share of the height."""

    row: int
    x: float
    y: float
    side: float
    mirrored: bool


Ground = Ramp | Land | Wall


@dataclass(frozen=True)
class Cut:
    """A cut-out, where it lies, and the colour that it is painted in."""

    row: int
    place: Placement
    colour: Colour | None = None


@dataclass(frozen=True)
class Scene:
    """A ground, what lies on it, two sentences about it, what it shows, and what each sentence claims."""

    ground: Ground
    cuts: tuple[Cut, ...]
    said: tuple[str, str]
    shown: Claim = NOTHING
    meant: tuple[Claim, Claim] = (NOTHING, NOTHING)


class SceneDraws:
    """Draws scenes of some cut-outs and wallpapers; every choice comes from its own generator."""

    def __init__(
        self,
        index: list[dict[str, Any]],
        rows: np.ndarray,
        walls: list[dict[str, Any]],
        seed: int | list[int],
        calm: float = 0.0,
    ):
        """`calm` is the share of scenes of one thing, upright in the middle of a plain ground or a place."""
        self.index, self.rows, self.walls = index, rows, walls
        self.random = np.random.default_rng(seed)
        self.names = Names()
        weights = np.array([weight(index[row]) for row in rows])
        self._calm, self._is_calm = calm, False
        self._odds = (weights / weights.sum()).cumsum()
        self._captioned = [i for i, wall in enumerate(walls) if stem_of(wall["file"]) in PHOTOGRAPHS]
        self._kinds: tuple[tuple[float, Callable[[], Scene]], ...] = (
            (0.48, self.single),
            (0.68, self.coloured),
            (0.76, self.counted),
            (0.82, self.pair),
            (0.97, self.placed),
            (1.0, self.without),
        )
        self._calm_kinds = (
            (0.55, self.single),
            (0.75, self.coloured),
            (0.97, self.placed),
            (1.0, self.without),
        )

    def make(self) -> Scene:
        self._is_calm = self._calm > 0 and bool(self.random.random() < self._calm)
        kinds, dice = self._calm_kinds if self._is_calm else self._kinds, self.random.random()
        return next(kind for below, kind in kinds if dice < below)()

    def single(self) -> Scene:
        """One thing on any ground."""
        row, name, word = self._draw()
        cut = Cut(row, self._placement(0.6, 1.05, 0.15))
        said = (self._say(row, with_article(name)), with_article(word))
        bare = Claim(self.names[name])
        return Scene(self.ground(), (cut,), said, replace(bare, count=1), (bare, bare))

    def coloured(self) -> Scene:
        """One thing in one colour, on a ground of another."""
        row, name, word = self._draw()
        colour, ground = (COLOUR_NAMES[i] for i in self.random.choice(len(COLOUR_NAMES), 2, replace=False))
        text = phrase(word if self.random.random() < 0.3 else name, colour, 1)
        cut = Cut(row, self._placement(0.6, 1.05, 0.15), COLOURS[colour])
        said = (self._say(row, text), f"{text} on a {ground} background")
        plain = Claim(self.names[name], colour=self._numbered("colour", colour))
        full = replace(plain, place=self._numbered("ground", ground))
        return Scene(self._ramp(COLOURS[ground]), (cut,), said, replace(full, count=1), (plain, full))

    def counted(self) -> Scene:
        """Several times the same thing."""
        row, name, _ = self._draw()
        count = int(self.random.integers(2, 6))
        colour = self._colour() if self.random.random() < 0.4 else None
        cuts = tuple(
            Cut(row, self._near(x, y, 0.32, 0.46), COLOURS[colour] if colour else None)
            for x, y in (SPREAD[i] for i in self.random.choice(len(SPREAD), count, replace=False))
        )
        text = phrase(name, colour, count)
        claim = Claim(self.names[name], colour=self._numbered("colour", colour), count=count)
        return Scene(self.ground(), cuts, (text, self._say(row, text)), claim, (claim, claim))

    def pair(self) -> Scene:
        """Two things side by side."""
        (row, one, _), (other, two, _) = self._draw(), self._draw()
        side = 0.45 if self.random.random() < 0.5 else -0.45
        cuts = (Cut(row, self._near(-side, 0, 0.42, 0.6)), Cut(other, self._near(side, 0, 0.42, 0.6)))
        text = f"{with_article(one)} {LINKS[self.random.integers(len(LINKS))]} {with_article(two)}"
        claim = Claim(self.names[one], self.names[two])
        return Scene(self.ground(), cuts, (text, text), claim, (claim, claim))

    def placed(self) -> Scene:
        """One thing in a simple landscape."""
        row, name, _ = self._draw()
        land, where = self._land()
        colour = self._colour() if self.random.random() < 0.35 else None
        cut = Cut(row, self._placement(0.45, 0.85, 0.25), COLOURS[colour] if colour else None)
        text = f"{phrase(name, colour, 1)} {where}"
        claim = Claim(
            self.names[name],
            colour=self._numbered("colour", colour),
            place=self._numbered("place", land.place),
        )
        return Scene(land, (cut,), (text, self._say(row, text)), claim, (claim, claim))

    def without(self) -> Scene:
        """A landscape or a captioned photograph, and nothing on it."""
        if self.random.random() < 0.5 or not self._captioned:
            land, where = self._land()
            claim = Claim(self._numbered("landscape", land.place), place=self._numbered("place", land.place))
            return Scene(land, (), (f"a landscape {where}", where), claim, (claim, claim))
        wall = self._captioned[self.random.integers(len(self._captioned))]
        stem = stem_of(self.walls[wall]["file"])
        said, claim = PHOTOGRAPHS[stem], Claim(self._numbered("wallpaper", stem))
        return Scene(self._wall(wall, 0.6), (), (said[0], said[-1]), claim, (claim, claim))

    def ground(self) -> Ground:
        """Mostly plain or a gradient; sometimes a piece of a photograph."""
        dice = self.random.random()
        if dice < 0.25:
            return self._ramp((1.0, 1.0, 1.0))
        if dice < 0.55:
            return self._ramp(self._any())
        if dice < 0.85 or self._is_calm or not self.walls:
            return Ramp(self._any(), self._any(), self._between(0, 2 * math.pi))
        return self._wall(int(self.random.integers(len(self.walls))), 0.5)

    def _ramp(self, colour: Colour) -> Ramp:
        red, green, blue = np.clip(np.array(colour) + self.random.normal(0, 0.03, 3), 0, 1).tolist()
        return Ramp((red, green, blue), (red, green, blue))

    def _land(self) -> tuple[Land, str]:
        place = tuple(PLACES)[self.random.integers(len(PLACES))]
        where = PLACES[place][1][self.random.integers(len(PLACES[place][1]))]
        return Land(place, self._between(0.4, 0.7)), where

    def _wall(self, row: int, smallest: float) -> Wall:
        side = self._between(smallest, 1.0)
        return Wall(row, self._between(-1, 1), self._between(-1, 1), side, bool(self.random.random() < 0.5))

    def _draw(self) -> tuple[int, str, str]:
        place = int(np.searchsorted(self._odds, self.random.random() * self._odds[-1]))
        row = int(self.rows[place])
        entry = self.index[row]
        words = [entry["name"], *entry["words"][:WORDS]]
        return row, entry["name"], words[self.random.integers(len(words))]

    def _numbered(self, kind: str, name: str | None) -> int:
        """The number of a colour, ground, place or photograph; -1 of none."""
        return -1 if name is None else self.names[f"{kind} {name}"]

    def _say(self, row: int, text: str) -> str:
        return dressed(text, self.index[row]["style"], self.random)

    def _placement(self, smallest: float, largest: float, shift: float) -> Placement:
        if self._is_calm:
            x, y = self._between(-0.04, 0.04), self._between(-0.04, 0.04)
            return Placement(x, y, self._between(max(smallest, largest - 0.15), largest))
        x, y, turn = self._between(-shift, shift), self._between(-shift, shift), float(self.random.normal())
        size = self._between(smallest, largest)
        return Placement(x, y, size, 0.15 * turn, bool(self.random.random() < 0.5))

    def _near(self, x: float, y: float, smallest: float, largest: float) -> Placement:
        """A place near to another, upright."""
        x, y = x + self._between(-0.08, 0.08), y + self._between(-0.08, 0.08)
        return Placement(x, y, self._between(smallest, largest))

    def _colour(self) -> str:
        return COLOUR_NAMES[self.random.integers(len(COLOUR_NAMES))]

    def _any(self) -> Colour:
        red, green, blue = self.random.random(3).tolist()
        return red, green, blue

    def _between(self, low: float, high: float) -> float:
        return float(self.random.uniform(low, high))
