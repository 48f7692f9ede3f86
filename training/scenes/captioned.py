"""Compositions with sentences: objects, colours, numbers, pairs, places and captioned photographs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.images.dataset import Dataset
from training.images.sprite import WHOLE_PHOTO
from training.images.words import PEOPLE, READ, SIGNS, with_article
from training.scenes.captions import Claim, Names, dressed, phrase
from training.scenes.compose import Composer, Placement, lay, recolour
from training.scenes.places import PHOTOGRAPHS, PLACES
from vqclip.start.phrases import COLOURS

WEIGHTS = {"photo": 4.0, WHOLE_PHOTO: 2.0, "silhouette": 0.7}  # of styles

COLOUR_NAMES = tuple(COLOURS)


class SceneComposer(Composer):
    """Draws compositions for the CLIP: each with two sentences, and what picture and sentences claim."""

    def __init__(
        self, data: Dataset, rows: np.ndarray, walls: np.ndarray, seed: int, side: int, names: Names
    ):
        super().__init__(data, rows, walls, seed)
        self.side, self.names = side, names
        self.captioned = [int(w) for w in walls if stem_of(data.wallpaper_index[w]["file"]) in PHOTOGRAPHS]
        weights = np.array([weight(data.index[row]) for row in rows])
        self.weights = weights / weights.sum()
        self.kinds: tuple[tuple[float, Callable[[], tuple[Tensor, Claim, list[tuple[str, Claim]]]]], ...] = (
            (0.42, self.single),
            (0.18, self.coloured),
            (0.08, self.counted),
            (0.08, self.pair),
            (0.18, self.placed),
            (0.06, self.photograph),
        )

    def make(self) -> tuple[Tensor, Claim, list[tuple[str, Claim]]]:
        """One picture 3 s s in [0, 1], what it shows, and its sentences with their claims."""
        odds = np.array([odd for odd, _ in self.kinds])
        return self.kinds[self.random.choice(len(odds), p=odds / odds.sum())][1]()

    def single(self) -> tuple[Tensor, Claim, list[tuple[str, Claim]]]:
        """An object on any background."""
        row, name, word = self._draw()
        canvas = lay(self.background(self.side), self.sprite(row), self.placement(0.55, 1.05, shift=0.2))
        claim = Claim(self.names[name], place=-1, count=1)
        bare = Claim(self.names[name])
        return (
            canvas,
            claim,
            [(self._say(row, with_article(name)), bare), (self._say(row, with_article(word)), bare)],
        )

    def coloured(self) -> tuple[Tensor, Claim, list[tuple[str, Claim]]]:
        """An object painted in one colour, often on a background of another."""
        row, name, word = self._draw()
        colour, ground = (COLOUR_NAMES[i] for i in self.random.choice(len(COLOUR_NAMES), 2, replace=False))
        canvas = (
            self.plain(self.side, ground) if self.random.random() < 0.7 else self.gradient(self.side, ground)
        )
        painted = recolour(self.sprite(row), colour, self._between(0.75, 1.0))
        canvas = lay(canvas, painted, self.placement(0.55, 1.05, shift=0.2))
        identity, c, g = self.names[name], self.names["colour " + colour], self.names["ground " + ground]
        text = phrase(word if self.random.random() < 0.3 else name, colour, 1)
        return (
            canvas,
            Claim(identity, colour=c, place=g, count=1),
            [
                (self._say(row, text), Claim(identity, colour=c)),
                (self._say(row, f"{text} on a {ground} background"), Claim(identity, colour=c, place=g)),
            ],
        )

    def counted(self) -> tuple[Tensor, Claim, list[tuple[str, Claim]]]:
        """Several times the same object, sometimes in a given colour."""
        row, name, _ = self._draw()
        count = int(self.random.integers(2, 6))
        colour = COLOUR_NAMES[self.random.integers(len(COLOUR_NAMES))] if self.random.random() < 0.4 else None
        sprite = recolour(self.sprite(row), colour) if colour else self.sprite(row)
        canvas = self.background(self.side)
        for x, y in self._spread(count):
            canvas = lay(
                canvas, sprite, Placement(x, y, self._between(0.32, 0.46), float(self.random.normal()) * 0.2)
            )
        c = self.names["colour " + colour] if colour else -1
        identity = self.names[name]
        return (
            canvas,
            Claim(identity, colour=c, count=count),
            [
                (self._say(row, phrase(name, colour, count)), Claim(identity, colour=c, count=count)),
                (self._say(row, phrase(name, None, count)), Claim(identity, count=count)),
            ],
        )

    def pair(self) -> tuple[Tensor, Claim, list[tuple[str, Claim]]]:
        """Two objects side by side."""
        (row, one, _), (other, two, _) = self._draw(), self._draw()
        side = 1 if self.random.random() < 0.5 else -1
        canvas = self.background(self.side)
        for r, x in ((row, -0.45 * side), (other, 0.45 * side)):
            canvas = lay(
                canvas, self.sprite(r), Placement(x, self._between(-0.3, 0.3), self._between(0.42, 0.6))
            )
        a, b = self.names[one], self.names[two]
        link = ("and", "next to", "with", "beside")[self.random.integers(4)]
        return (
            canvas,
            Claim(a, b),
            [
                (f"{with_article(one)} {link} {with_article(two)}", Claim(a, b)),
                (self._say(row, with_article(one)), Claim(a)),
            ],
        )

    def placed(self) -> tuple[Tensor, Claim, list[tuple[str, Claim]]]:
        """An object in a simple landscape."""
        row, name, _ = self._draw()
        place = tuple(PLACES)[self.random.integers(len(PLACES))]
        canvas = self.landscape(place)
        words = PLACES[place][1]
        where = words[self.random.integers(len(words))]
        sprite, colour = self.sprite(row), None
        if self.random.random() < 0.35:
            colour = COLOUR_NAMES[self.random.integers(len(COLOUR_NAMES))]
            sprite = recolour(sprite, colour)
        canvas = lay(canvas, sprite, self.placement(0.4, 0.85, shift=0.25))
        c, p = self.names["colour " + colour] if colour else -1, self.names["place " + place]
        identity = self.names[name]
        return (
            canvas,
            Claim(identity, colour=c, place=p),
            [
                (f"{phrase(name, colour, 1)} {where}", Claim(identity, colour=c, place=p)),
                (self._say(row, with_article(name)), Claim(identity)),
            ],
        )

    def photograph(self) -> tuple[Tensor, Claim, list[tuple[str, Claim]]]:
        """A captioned wallpaper, or a landscape without any object."""
        if self.random.random() < 0.35 or not self.captioned:
            place = tuple(PLACES)[self.random.integers(len(PLACES))]
            claim = Claim(self.names["landscape " + place], place=self.names["place " + place])
            where = PLACES[place][1][self.random.integers(len(PLACES[place][1]))]
            return (
                self.landscape(place),
                claim,
                [(f"a landscape {where}", claim), (f"a scene {where}", claim)],
            )
        wall = self.captioned[self.random.integers(len(self.captioned))]
        stem = stem_of(self.data.wallpaper_index[wall]["file"])
        claim = Claim(self.names["wallpaper " + stem])
        said = PHOTOGRAPHS[stem]
        return (
            self.wallpaper(self.side, wall, 0.6),
            claim,
            [(said[0], claim), ("a photo of " + said[self.random.integers(len(said))], claim)],
        )

    def landscape(self, place: str) -> Tensor:
        """Sky and ground with a soft horizon and some texture: 3 s s."""
        s = self.side
        top, above, below, bottom = (_colour(text) for text in PLACES[place][0])
        horizon = self._between(0.4, 0.7)
        y = torch.linspace(0, 1, s)[:, None]
        coarse = torch.from_numpy(self.random.normal(size=(1, 1, 8, 8))).float()
        hills = F.interpolate(coarse, (s, s), mode="bicubic", align_corners=False)[0, 0]
        y = (y + 0.03 * hills[0][None]).clamp(0, 1).expand(s, s)
        sky, ground = (y / horizon).clamp(0, 1), ((y - horizon) / (1 - horizon)).clamp(0, 1)
        edge = ((y - horizon) * s / 2).sigmoid()
        mixed = torch.lerp(top, above, sky) * (1 - edge) + torch.lerp(below, bottom, ground) * edge
        grain = torch.from_numpy(self.random.normal(size=(s, s))).float()
        if place == "night":
            mixed = mixed + (grain > 3.0) * (1 - edge)
        return (mixed + 0.03 * grain * edge + 0.02 * hills).clamp(0, 1)

    def _draw(self) -> tuple[int, str, str]:
        row = int(self.rows[self.random.choice(len(self.rows), p=self.weights)])
        entry = self.data.index[row]
        words = [entry["name"], *entry["words"][:4]]
        return row, entry["name"], words[self.random.integers(len(words))]

    def _say(self, row: int, text: str) -> str:
        return dressed(text, self.data.index[row]["style"], self.random)

    def _spread(self, count: int) -> list[tuple[float, float]]:
        corners = [(x, y) for x in (-0.52, 0.0, 0.52) for y in (-0.52, 0.0, 0.52)]
        chosen = self.random.choice(len(corners), count, replace=False)
        return [
            (corners[i][0] + self._between(-0.08, 0.08), corners[i][1] + self._between(-0.08, 0.08))
            for i in chosen
        ]


def stem_of(file: str) -> str:
    """What PHOTOGRAPHS calls a file."""
    return file if file in PHOTOGRAPHS else file.split(".", maxsplit=1)[0]


def _colour(text: str) -> Tensor:
    return torch.tensor([int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)]).view(3, 1, 1)


def weight(entry: dict[str, Any]) -> float:
    """Things more often than faces, people and signs; photographs most, as there are few, and silhouettes less."""
    if entry["style"] in WEIGHTS:
        return WEIGHTS[entry["style"]]
    words = {*entry["name"].split(), *entry["words"][:READ]}
    if words & PEOPLE:
        return 0.3 if not words & {"animal"} else 1.0
    return 0.4 if words & SIGNS else 1.0
