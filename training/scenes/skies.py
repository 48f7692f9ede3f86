"""Skies, and a Worker who lays land and water under them, in their light.

Pictures are n n 3 in [0, 1] with n = 192; x and y run from 0 to 1, to the right and down.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

N = 192
Pixels = np.ndarray
Colour = tuple[float, float, float]
Ink = tuple[int, int, int]
Y, X = np.mgrid[0:N, 0:N] / N


def rgb(text: str) -> np.ndarray:
    """'#ff8000' -> 1.0, 0.5, 0.0"""
    return np.array([int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)])


@dataclass(frozen=True)
class Sky:
    """From top to horizon, the light it gives to what lies below it, and how one says it."""

    top: str
    horizon: str
    light: Colour
    said: tuple[str, ...]
    marks: tuple[str, ...] = ()  # what stands in it: sun, moon, stars, clouds, flakes, rain, rainbow


SKIES = {
    "day": Sky("#3f93e6", "#cfe8fb", (1, 1, 1), ("", "under a blue sky", "on a sunny day"), ("clouds",)),
    "sunset": Sky(
        "#5b3a8c", "#ffa04c", (0.86, 0.58, 0.55), ("at sunset", "in the evening", "at sunrise"), ("sun",)
    ),
    "night": Sky("#0a1038", "#34478f", (0.26, 0.31, 0.54), ("at night", "under the stars"), ("stars",)),
    "moon": Sky(
        "#101a4a", "#3f58a8", (0.32, 0.38, 0.6), ("under a full moon", "in the moonlight"), ("stars", "moon")
    ),
    "storm": Sky("#262b36", "#6d7682", (0.5, 0.53, 0.58), ("in a storm", "in a thunderstorm"), ("gloom",)),
    "fog": Sky("#c3ccd2", "#e0e5e8", (0.8, 0.82, 0.84), ("in the fog", "on a grey day"), ("mist",)),
    "winter": Sky("#aac4de", "#e8f0f8", (0.9, 0.94, 1), ("in winter", "while it snows"), ("flakes",)),
    "rainbow": Sky(
        "#6fa9dc", "#d5e8f4", (0.95, 0.97, 1), ("under a rainbow", "after the rain"), ("rainbow",)
    ),
}


@dataclass(frozen=True)
class Pen:
    """Draws in shares of the side, on a sheet four times as large, so that edges become smooth."""

    sheet: ImageDraw.ImageDraw

    def box(self, left: float, top: float, right: float, bottom: float, ink: Ink) -> None:
        self.sheet.rectangle(self._scaled(left, top, right, bottom), ink)

    def disc(self, x: float, y: float, wide: float, high: float, ink: Ink) -> None:
        self.sheet.ellipse(self._scaled(x - wide, y - high, x + wide, y + high), ink)

    def ring(self, x: float, y: float, radius: float, ink: Ink) -> None:
        self.sheet.ellipse(self._scaled(x - radius, y - radius, x + radius, y + radius), outline=ink, width=4)

    def polygon(self, ink: Ink, *points: tuple[float, float]) -> None:
        self.sheet.polygon([value for point in points for value in self._scaled(*point)], ink)

    def line(self, ink: Ink, width: float, *points: tuple[float, float]) -> None:
        self.sheet.line(
            [value for point in points for value in self._scaled(*point)], ink, round(4 * N * width)
        )

    def _scaled(self, *shares: float) -> list[float]:
        return [4 * N * share for share in shares]


class Painter:
    """One picture in the making, from far to near."""

    def __init__(self, seed: int, sky: Sky, horizon: float):
        self.random, self.sky, self.horizon = np.random.default_rng(seed), sky, horizon
        share = np.clip(Y / horizon, 0, 1)[..., None]
        self.pixels: Pixels = rgb(sky.top) * (1 - share) + rgb(sky.horizon) * share
        for mark in sky.marks:
            getattr(self, mark)()

    def lit(self, colour: str | np.ndarray) -> np.ndarray:
        """A colour in the sky's light."""
        return (rgb(colour) if isinstance(colour, str) else colour) * np.array(self.sky.light)

    def lay(self, mask: np.ndarray, colour: np.ndarray) -> None:
        """Colour (3, or n n 3) over what is there, where a mask (n n) in [0, 1] lets it."""
        self.pixels = self.pixels * (1 - mask[..., None]) + colour * mask[..., None]

    def ridge(self, height: float, swing: float, octaves: int = 5, power: float = 1.2) -> np.ndarray:
        """The upper edge (n) of hills or mountains: fractal noise about a height."""
        x, edge = np.linspace(0, 1, N), np.full(N, height)
        for k in range(octaves):
            points = self.random.uniform(-1, 1, 2 + 2 * 2**k)
            edge += swing / 2 ** (power * k) * np.interp(x * (len(points) - 1), range(len(points)), points)
        return edge

    def land(self, edge: np.ndarray | float, far: str, near: str, grain: float = 0.03) -> None:
        """Ground from an upper edge down to the bottom, from one colour to another."""
        upper = np.broadcast_to(edge, (N,))
        share = np.clip((Y - upper) / (1 - upper + 1e-6), 0, 1)[..., None]
        colour = self.lit(far) * (1 - share) + self.lit(near) * share
        colour = colour + grain * self._cloth(8)[..., None] * np.array(self.sky.light)
        self.lay(np.clip((Y - upper) * N, 0, 1), colour)

    def water(self, top: float, far: str = "#4f9fd6", near: str = "#155a96", glitter: float = 0.5) -> None:
        """Water with the sky in it, streaked across, and the light's road where sun or moon stand."""
        share = np.clip((Y - top) / (1 - top), 0, 1)[..., None]
        mirrored = rgb(self.sky.horizon) * (1 - share) + rgb(self.sky.top) * share
        colour = 0.5 * mirrored + 0.5 * (self.lit(far) * (1 - share) + self.lit(near) * share)
        streaks = np.repeat(self.noise(48, 6), 1, 1)
        colour = colour + 0.09 * glitter * streaks[..., None]
        if {"sun", "moon"} & set(self.sky.marks):
            road = np.exp(-(((X - 0.5) / (0.04 + 0.16 * share[..., 0])) ** 2)) * (streaks > -0.2)
            gold = rgb("#ffd58a") if "sun" in self.sky.marks else rgb("#e6ecff")
            colour = colour + (gold - colour) * (0.7 * road)[..., None]
        self.lay(np.clip((Y - top) * N, 0, 1), colour)

    def draw(self, strokes: Callable[[Pen], None]) -> None:
        """A Pen's strokes over what is there."""
        layer = Image.new("RGBA", (4 * N, 4 * N))
        strokes(Pen(ImageDraw.Draw(layer)))
        over = np.asarray(layer.convert("RGBa").resize((N, N), Image.Resampling.BOX), dtype=np.float64) / 255
        self.pixels = self.pixels * (1 - over[..., 3:]) + over[..., :3]

    def ink(self, colour: str) -> Ink:
        """A colour in the sky's light, for a Pen; each time a little other."""
        shade = self.lit(colour) * self.random.uniform(0.85, 1.12)
        red, green, blue = (int(255 * min(1, c)) for c in shade)
        return red, green, blue

    def picture(self) -> Image.Image:
        return Image.fromarray((255 * self.pixels.clip(0, 1)).round().astype(np.uint8))

    def noise(self, rows: int, columns: int) -> np.ndarray:
        """Smooth noise in [-1, 1], so many waves down and across."""
        small = Image.fromarray(self.random.uniform(-1, 1, (rows, columns)).astype(np.float32))
        return np.asarray(small.resize((N, N), Image.Resampling.BICUBIC))

    def _cloth(self, waves: int) -> np.ndarray:
        return (self.noise(waves, waves) + self.noise(4 * waves, 4 * waves)) / 2

    def _disc(self, x: float, y: float, radius: float) -> np.ndarray:
        return np.clip((radius - np.hypot(X - x, Y - y)) * N, 0, 1)

    def _glow(self, x: float, y: float, radius: float) -> np.ndarray:
        return np.exp(-(((X - x) ** 2 + (Y - y) ** 2) / radius**2))

    def sun(self) -> None:
        y = self.horizon - 0.1
        self.lay(0.8 * self._glow(0.5, y, 0.3), rgb("#ffc45e"))
        self.lay(self._disc(0.5, y, 0.1), rgb("#fff0b0"))

    def moon(self) -> None:
        self.lay(0.35 * self._glow(0.5, 0.22, 0.25), rgb("#b9c8ff"))
        face = rgb("#f6f2dc") - 0.08 * (self.noise(9, 9) > 0.25)[..., None]
        self.lay(self._disc(0.5, 0.22, 0.12), face)

    def stars(self) -> None:
        bright = Image.fromarray((255 * (self.random.random((N, N)) > 0.994)).astype(np.uint8))
        mask = np.asarray(bright.filter(ImageFilter.GaussianBlur(0.8)), dtype=np.float64) / 60
        self.lay(np.clip(mask, 0, 1) * (self.horizon > Y), np.ones(3))

    def clouds(self, colour: str = "#ffffff", cover: float = 0.25) -> None:
        heaps = self.noise(7, 4) + 0.5 * self.noise(16, 9)
        fade = np.clip(Y / 0.08, 0, 1) * np.clip((self.horizon - Y) / 0.1, 0, 1)
        self.lay(np.clip(2.5 * (heaps - 0.75 + cover), 0, 0.85) * fade, self.lit(colour))

    def gloom(self) -> None:
        self.clouds("#14171d", 0.9)
        self.clouds("#c0c8d4", 0.3)

        x, y, points = 0.7, 0.0, []
        while y < self.horizon:
            points.append((x, y))
            x, y = x + self.random.uniform(-0.07, 0.06), y + 0.06
        self.draw(lambda pen: pen.line((255, 246, 190), 0.012, *points))

    def mist(self) -> None:
        self.lay(0.5 * (self.noise(5, 3) * 0.5 + 0.5), rgb("#f2f4f5"))

    def flakes(self) -> None:
        flakes = Image.fromarray((255 * (self.random.random((N, N)) > 0.99)).astype(np.uint8))
        mask = np.asarray(flakes.filter(ImageFilter.GaussianBlur(1.2)), dtype=np.float64) / 40
        self.lay(np.clip(mask, 0, 1), np.ones(3))

    def rainbow(self) -> None:
        distance = np.hypot(X - 0.5, Y - self.horizon - 0.05)
        colours = [rgb(c) for c in ("#8a4fd0", "#3f7be0", "#44b86a", "#f5e05a", "#f29a3d", "#e2483f")]
        for k, colour in enumerate(colours):
            self.lay(0.75 * np.clip(1 - np.abs(distance - 0.36 - 0.025 * k) / 0.02, 0, 1), colour)
