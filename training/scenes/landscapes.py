"""Landscapes for the Sketchbook, painted by rule: every land under every sky that suits it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
from PIL import Image

from training.scenes.skies import SKIES, Ink, N, Painter, Pen, X, Y, rgb


def landscapes(each: int = 2) -> Iterator[tuple[Image.Image, list[str]]]:
    """Every land under every sky that suits it, so many times, and what one may call it."""
    for k, land in enumerate(LANDS):
        for sky in land.skies:
            said = SKIES[sky].said if len(land.skies) > 1 else ("",)
            sentences = [f"{name} {when}".strip() for when in said for name in land.called]
            for draw in range(each):
                painter = Painter(10_000 * draw + 100 * k + ALL.index(sky), SKIES[sky], horizon=0.5)
                land.paint(painter)
                yield painter.picture(), sentences


def sea(p: Painter) -> None:
    p.water(p.horizon)


def lake(p: Painter) -> None:
    p.land(p.ridge(p.horizon - 0.12, 0.08), "#7f93a8", "#56707a")
    p.land(p.ridge(p.horizon - 0.02, 0.02), "#4c7a45", "#2f5a33")
    p.water(p.horizon + 0.02, "#6fb1dd", "#22689e")


def beach(p: Painter) -> None:
    p.water(p.horizon, "#49b4d8", "#2a9ac6")
    p.land(0.74 + 0.04 * np.sin(np.linspace(0, 5, N)), "#f3e0ae", "#e3c27c")


def mountains(p: Painter) -> None:
    p.land(p.ridge(p.horizon - 0.22, 0.2), "#8a9bb5", "#6d7f99")
    p.land(p.ridge(p.horizon - 0.06, 0.14), "#62727c", "#4c5c58")
    p.land(p.ridge(0.82, 0.04), "#4f7f45", "#35632f")


def snowy_mountains(p: Painter) -> None:
    for height, swing, rock in ((0.3, 0.24, "#7b8fae"), (0.5, 0.18, "#5d708e")):
        edge = p.ridge(height, swing)
        p.land(edge, rock, "#8fa2bd")
        line = edge + 0.13 + 0.07 * p.random.uniform(-1, 1, N)
        p.lay(np.clip((Y - edge) * N, 0, 1) * np.clip((line - Y) * 24, 0, 1), p.lit("#ffffff"))
    p.land(p.ridge(0.82, 0.05), "#f2f7fd", "#cddbea")


def hills(p: Painter) -> None:
    p.land(p.ridge(p.horizon - 0.04, 0.08, 3), "#8fbf74", "#6fa85a")
    p.land(p.ridge(p.horizon + 0.12, 0.1, 3), "#6fae4b", "#3f8a34")


def hill(p: Painter) -> None:
    p.land(p.horizon + 0.1, "#8fbf74", "#6fa85a")
    p.land(0.92 - 0.36 * np.exp(-(((np.linspace(0, 1, N) - 0.5) / 0.33) ** 2)), "#78b653", "#3f8a34")


def meadow(p: Painter) -> None:
    p.land(p.ridge(p.horizon, 0.02, 3), "#86c25a", "#3f9433", 0.08)


def snow(p: Painter) -> None:
    p.land(p.ridge(p.horizon, 0.04, 3), "#f4f8fc", "#d3e0ee")


def desert(p: Painter) -> None:
    p.land(p.ridge(p.horizon, 0.06, 2), "#efcf8e", "#dfae62")
    p.land(p.ridge(0.78, 0.08, 2), "#e6bd74", "#c99446")


def road(p: Painter) -> None:
    meadow(p)
    top, middle = p.horizon, 0.5
    half = 0.03 + 0.42 * np.clip((Y - top) / (1 - top), 0, 1)
    inside = np.clip((half - np.abs(X - middle)) * N, 0, 1) * np.clip((Y - top) * N, 0, 1)
    p.lay(inside, p.lit("#6a6d72"))
    dashes = (np.sin(22 / (0.12 + np.clip(Y - top, 0, 1))) > 0) * (np.abs(X - middle) < 0.05 * half)
    p.lay(dashes * inside, p.lit("#f4f1e4"))


def river(p: Painter) -> None:
    hills(p)
    top = p.horizon + 0.1
    share = np.clip((Y - top) / (1 - top), 0, 1)
    middle = 0.5 + 0.18 * np.sin(7 * share) * (1 - 0.4 * share)
    p.lay(np.clip((0.03 + 0.2 * share - np.abs(X - middle)) * N / 2, 0, 1) * (share > 0), p.lit("#3f93d0"))


def trees(p: Painter, leaves: tuple[str, ...], pointed: float, rows: int = 3) -> None:
    """Rows of trees, the nearer the larger; `pointed` is the share of firs."""

    def strokes(pen: Pen) -> None:
        for row in range(rows):
            size, foot = 0.22 + 0.12 * row, p.horizon + 0.02 + (0.95 - p.horizon) * row / rows
            for x in np.arange(-0.05, 1.1, size * 0.62) + p.random.uniform(-0.04, 0.04):
                y, s = foot + p.random.uniform(-0.02, 0.02), size * p.random.uniform(0.85, 1.15)
                leaf = p.ink(leaves[p.random.integers(len(leaves))])
                pen.box(x - s / 16, y - s / 2, x + s / 16, y, p.ink("#4a2f1a"))
                (fir if p.random.random() < pointed else leafy)(pen, x, y, s, leaf)

    p.draw(strokes)


def fir(pen: Pen, x: float, foot: float, size: float, leaf: Ink) -> None:
    for k in range(3):
        half, top = size * (0.16 + 0.07 * k), foot - size * (1.15 - 0.27 * k)
        pen.polygon(leaf, (x, top), (x - half, top + size / 2.3), (x + half, top + size / 2.3))


def leafy(pen: Pen, x: float, foot: float, size: float, leaf: Ink) -> None:
    red, green, blue = (int(0.7 * part) for part in leaf)
    for aside, up, radius in ((0, 0.72, 0.27), (-0.19, 0.56, 0.2), (0.19, 0.56, 0.2)):
        x_here, y_here, wide = x + aside * size, foot - up * size, radius * size
        pen.disc(
            x_here + 0.12 * wide, y_here + 0.15 * wide, wide, wide, (red, green, blue)
        )  # its shaded side
        pen.disc(x_here, y_here, 0.9 * wide, 0.9 * wide, leaf)


def forest(p: Painter) -> None:
    p.land(p.horizon, "#4a7a3a", "#2c5426")
    trees(p, ("#2f6b35", "#3c7d3d", "#4f8f45", "#285c30"), 0.6)


def pines(p: Painter) -> None:
    p.land(p.horizon, "#eef4fa", "#d3e0ee")
    trees(p, ("#2f5d4a", "#3b6d58", "#dfeaf2"), 1.0)


def autumn(p: Painter) -> None:
    p.land(p.horizon, "#c99a5a", "#a3713c")
    trees(p, ("#ee8f22", "#d13f1c", "#f7c33a", "#a82f1f"), 0.0)


def jungle(p: Painter) -> None:
    p.land(0.0, "#3f7d3f", "#1f4a22")
    trees(p, ("#2f8a3a", "#1f6a34", "#6ab84c", "#3f9a55"), 0.15, 4)


def waterfall(p: Painter) -> None:
    jungle(p)
    p.land(p.ridge(0.2, 0.05), "#5e6a5c", "#3d4a40", 0.1)
    trees(p, ("#2f8a3a", "#1f6a34"), 0.0, 1)
    fall = np.clip((0.15 + 0.02 * p.noise(12, 3) - np.abs(X - 0.5)) * N / 2, 0, 1) * np.clip(
        (Y - 0.2) * N, 0, 1
    )
    threads = 0.22 * p.noise(3, 28)[..., None]
    p.lay(fall, p.lit("#cfe4f2") + threads)
    p.water(0.8, "#7cc0d8", "#2a7d92")
    p.lay(0.9 * np.exp(-(((Y - 0.8) / 0.05) ** 2) - ((X - 0.5) / 0.22) ** 2), p.lit("#f6fbff"))


def flowers(p: Painter, colours: tuple[str, ...]) -> None:
    """A field with rows of blossoms, the nearer the larger."""
    p.land(p.horizon, "#6fae4b", "#2f7d2c", 0.05)

    def strokes(pen: Pen) -> None:
        y = p.horizon + 0.02
        while y < 1.05:
            size = 0.012 + 0.085 * (y - p.horizon)
            for x in np.arange(-size, 1 + size, 2.1 * size) + p.random.uniform(-size, size):
                middle = y + p.random.uniform(-0.4, 0.4) * size
                colour = colours[p.random.integers(len(colours))]
                pen.disc(x, middle, 0.8 * size, 0.85 * size, p.ink(colour))
            y += 1.7 * size

    p.draw(strokes)


def city(p: Painter) -> None:
    """Towers with windows, lit where it is dark, and their street."""
    dark = sum(p.sky.light) < 1.6
    p.land(0.9, "#59606b", "#3c424c")

    def strokes(pen: Pen) -> None:
        walls = ("#8b9ab0", "#a9b8ce", "#66748a") if dark else ("#8b9ab0", "#66748a", "#4a566b")
        for row, wall in enumerate(walls):
            x = -0.03
            while x < 1:
                width, top = p.random.uniform(0.08, 0.15), p.random.uniform(0.22, 0.5) + 0.1 * row
                pen.box(x, top, x + width, 0.92, p.ink(wall))
                for left, upper in product(
                    np.arange(x + 0.015, x + width - 0.02, 0.034), np.arange(top + 0.025, 0.87, 0.055)
                ):
                    if p.random.random() < (0.5 if dark else 0.8):
                        pane = (255, 217, 120) if dark else p.ink("#cfe4f5")
                        pen.box(left, upper, left + 0.02, upper + 0.03, pane)
                x += width + p.random.uniform(0, 0.02)

    p.draw(strokes)


def bridge(p: Painter) -> None:
    """A stone bridge of three arches over a river."""
    lake(p)

    def strokes(pen: Pen) -> None:
        stone = p.ink("#b39b7d")
        pen.box(0, 0.46, 1, 0.56, stone)
        pen.box(0, 0.43, 1, 0.465, p.ink("#8f7a60"))
        for x in (0.0, 0.31, 0.62, 0.93):
            pen.box(x, 0.5, x + 0.07, 0.8, stone)
        for x in (0.07, 0.38, 0.69):
            for left, right in ((x, x + 0.09), (x + 0.24, x + 0.15)):
                pen.polygon(stone, (left, 0.55), (right, 0.55), (left, 0.68))

    p.draw(strokes)


def village(p: Painter) -> None:
    hills(p)

    def strokes(pen: Pen) -> None:
        for row in range(2):
            for x in np.arange(0.04, 0.95, 0.24) + 0.1 * row + p.random.uniform(-0.03, 0.03):
                y, s = p.horizon + 0.16 + 0.2 * row, 0.13 + 0.04 * row
                wall, roof = p.ink("#f0e2c8"), p.ink("#b5482f")
                pen.box(x, y - s * 0.7, x + s, y, wall)
                eaves = y - s * 0.7
                pen.polygon(roof, (x - 0.02, eaves), (x + s / 2, y - s * 1.3), (x + s + 0.02, eaves))
                pen.box(x + s * 0.4, y - s * 0.35, x + s * 0.6, y, p.ink("#6b4a2f"))

    p.draw(strokes)


def open_sky(p: Painter) -> None:
    p.clouds("#ffffff", 0.6)


def space(p: Painter) -> None:
    p.pixels = np.zeros((N, N, 3)) + rgb("#05060f")
    for colour in ("#3b2a7a", "#1f4f8a", "#7a2a6a"):
        p.lay(0.6 * np.clip(p.noise(4, 4), 0, 1), rgb(colour))
    p.horizon = 2.0
    p.stars()


def underwater(p: Painter) -> None:
    share = Y[..., None]
    p.pixels = rgb("#4fc3e6") * (1 - share) + rgb("#0b3a73") * share
    rays = np.clip(np.sin(26 * (X + 0.25 * Y)) - 0.5, 0, 1) * (1 - Y)
    p.lay(0.35 * rays, rgb("#c8f0fa"))
    p.land(p.ridge(0.86, 0.03), "#c9b98a", "#9c8a5e")

    def strokes(pen: Pen) -> None:
        for _ in range(14):
            x, y, radius = (p.random.uniform(*ends) for ends in ((0, 1), (0.1, 0.8), (0.006, 0.018)))
            pen.ring(x, y, radius, (220, 245, 255))
        for x in (0.08, 0.16, 0.85, 0.93):
            weed = [(x + 0.02 * np.sin(14 * t + 9 * x), 0.92 - 0.4 * t) for t in np.linspace(0, 1, 12)]
            pen.line((40, 130, 80), 0.034, *weed)

    p.draw(strokes)


def room(p: Painter) -> None:
    p.pixels = np.zeros((N, N, 3)) + rgb("#efe6d6")
    p.land(0.72, "#b98a5a", "#8f6238")


def table(p: Painter) -> None:
    p.pixels = np.zeros((N, N, 3)) + rgb("#dfe3e0") * (1 - 0.15 * Y[..., None])
    p.land(0.62, "#c99a63", "#94622f", 0.06)


@dataclass(frozen=True)
class Land:
    """What paints it, how one says it, and under which skies it lies."""

    paint: Callable[[Painter], None]
    called: tuple[str, ...]
    skies: tuple[str, ...]


ALL = tuple(SKIES)
WARM = tuple(sky for sky in SKIES if sky != "winter")
BRIGHT = ("day", "sunset")
INDOORS = ("day",)
LANDS = (
    Land(sea, ("the sea", "the ocean", "water"), WARM),
    Land(lake, ("a lake", "a calm lake with mountains"), ALL),
    Land(beach, ("a beach", "the shore of the sea"), WARM),
    Land(mountains, ("mountains", "rocky mountains"), WARM),
    Land(snowy_mountains, ("snowy mountains", "mountain peaks with snow"), ALL),
    Land(hills, ("green hills", "rolling hills", "a valley"), WARM),
    Land(hill, ("a hill", "the top of a hill"), WARM),
    Land(meadow, ("a green meadow", "the grass", "a field"), WARM),
    Land(snow, ("the snow", "a snowy field", "ice"), ("day", "sunset", "night", "moon", "fog", "winter")),
    Land(desert, ("a desert", "sand dunes"), ("day", "sunset", "night", "moon", "storm")),
    Land(road, ("a road", "a street", "a highway"), WARM),
    Land(river, ("a river", "a stream"), ("day", "sunset", "moon", "fog")),
    Land(forest, ("a forest", "trees", "the woods"), WARM),
    Land(pines, ("a forest in winter", "snowy pine trees"), ("day", "winter", "moon", "sunset")),
    Land(autumn, ("a forest in autumn", "autumn trees"), ("day", "sunset", "fog")),
    Land(jungle, ("a jungle", "a rainforest"), ("day", "fog", "moon")),
    Land(waterfall, ("a waterfall", "a waterfall in the jungle"), ("day", "fog", "rainbow")),
    Land(
        partial(flowers, colours=("#e2483f", "#f5d04a", "#f6f2ee", "#c45ad0")),
        ("a field of flowers", "a garden", "a flower meadow"),
        BRIGHT,
    ),
    Land(
        partial(flowers, colours=("#d92f35", "#e8483f", "#f0a43a")),
        ("a field of tulips", "a field of poppies"),
        BRIGHT,
    ),
    Land(
        partial(flowers, colours=("#7a4fb8", "#9a6fd0")),
        ("a field of lavender", "a field of purple flowers"),
        BRIGHT,
    ),
    Land(
        partial(flowers, colours=("#f2c12e", "#f7d85a", "#b5792a")),
        ("a field of sunflowers", "a field of yellow flowers"),
        BRIGHT,
    ),
    Land(partial(flowers, colours=("#e0b84f", "#d0a23f")), ("a field of wheat", "a golden field"), BRIGHT),
    Land(city, ("a city skyline", "a city with skyscrapers", "tall buildings"), WARM),
    Land(bridge, ("a bridge", "a bridge over a river"), ("day", "sunset", "night", "moon", "fog")),
    Land(village, ("a village", "houses in the hills"), ("day", "sunset", "night", "moon")),
    Land(open_sky, ("the sky", "clouds"), ("day", "sunset", "night", "moon", "storm", "rainbow")),
    Land(space, ("outer space", "the universe", "a galaxy"), ("night",)),
    Land(underwater, ("under water", "the bottom of the sea", "a coral reef"), INDOORS),
    Land(room, ("a room", "the floor of a house", "indoors"), INDOORS),
    Land(table, ("a table", "a wooden table", "a desk"), INDOORS),
)
