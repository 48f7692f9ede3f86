r"""Palettes: lists of colours, by names, hexadecimal digits, ranges and images.

red                    a colour: a CSS name, #RGB, #RRGGBB, or (255+128+0)
pico8                  a palette of the table below
blue->white\5          five colours from blue to white; 16 without a number
[red, #00f]            a list; with \5 five colours from its first to its last
[a.png]\8              the eight colours of an image by median cut; 16 without a number
blue->white; red       several of these
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from vqclip.base.errors import ConfigError, shorten, suggest

RGB = tuple[float, float, float]  # each from 0 to 1
STEPS = 16  # of a range, and colours of an image, without a number
LARGEST = 256  # colours of a palette

NAMED = {
    "black-and-white": "#000 #fff",
    "grey": r"black->white\8",
    "rgb": "#000 #f00 #0f0 #00f #ff0 #f0f #0ff #fff",
    "cmyk": "#00aeef #ec008c #fff200 #000 #fff",
    "sepia": r"#1b1007->#704214->#f4e4c1\8",
    "gameboy": "#0f380f #306230 #8bac0f #9bbc0f",
    "cga": "#000 #00a #0a0 #0aa #a00 #a0a #a50 #aaa #555 #55f #5f5 #5ff #f55 #f5f #ff5 #fff",
    "zx-spectrum": "#000 #0000d7 #d70000 #d700d7 #00d700 #00d7d7 #d7d700 #d7d7d7 #00f #f00 #f0f #0f0 #0ff #ff0 #fff",
    "c64": (
        "#000000 #ffffff #68372b #70a4b2 #6f3d86 #588d43 #352879 #b8c76f "
        "#6f4f25 #433900 #9a6759 #444444 #6c6c6c #9ad284 #6c5eb5 #959595"
    ),
    "pico8": (
        "#000000 #1d2b53 #7e2553 #008751 #ab5236 #5f574f #c2c3c7 #fff1e8 "
        "#ff004d #ffa300 #ffec27 #00e436 #29adff #83769c #ff77a8 #ffccaa"
    ),
    "nord": (
        "#2e3440 #3b4252 #434c5e #4c566a #d8dee9 #e5e9f0 #eceff4 #8fbcbb "
        "#88c0d0 #81a1c1 #5e81ac #bf616a #d08770 #ebcb8b #a3be8c #b48ead"
    ),
    "solarized": (
        "#002b36 #073642 #586e75 #657b83 #839496 #93a1a1 #eee8d5 #fdf6e3 "
        "#b58900 #cb4b16 #dc322f #d33682 #6c71c4 #268bd2 #2aa198 #859900"
    ),
    "ocean": r"#03045e->#0077b6->#90e0ef->white\8",
    "sunset": r"#2d1b4e->#b5326e->#f98e52->#ffe9a8\8",
    "forest": r"#132a13->#4f772d->#90a955->#ecf39e\8",
    # pixray's names
    "pixel_green": "black->#70ff87",
    "pixel_orange": "black->#ffcc33",
    "pixel_blue": "black->#7087ff",
    "pixel_red": "black->#ff8770",
    "pixel_grayscale": "black->white",
}
_FILE = re.compile(r"[^,;]+\.(png|jpe?g|webp|gif|bmp|tiff?)", re.IGNORECASE)


@dataclass(frozen=True)
class ImageColours:
    """So many colours of an image file, which is read when it is needed."""

    file: str
    count: int


Part = RGB | ImageColours


def parse(texts: Sequence[str], key: str) -> list[Part]:
    """Parse a palette; raises ConfigError, which names the key, for what is no colour, and where there is none."""
    parts = [
        part for text in texts for entry in text.split(";") if entry.strip() for part in _entry(entry, key)
    ]
    if not parts:
        raise ConfigError(f'{key}: there are none; write some, as in [red, "#00f"]')
    if len(parts) > LARGEST:
        raise ConfigError(f"{key}: {len(parts)} colours are too many; write at most {LARGEST}")
    return parts


def image_files(texts: Sequence[str], key: str) -> list[str]:
    """List the image files that a palette takes colours of; raises ConfigError as `parse` does."""
    return [part.file for part in parse(texts, key) if isinstance(part, ImageColours)] if texts else []


def colour(text: str, key: str) -> RGB:
    """Parse one colour; raises ConfigError, which names the key."""
    if triple := re.fullmatch(r"\s*\((\d+)\+(\d+)\+(\d+)\)\s*", text):
        return (_level(triple[1]), _level(triple[2]), _level(triple[3]))
    found = _css(text.strip().removeprefix("mat:"))
    if found is None:
        raise ConfigError(
            f"{key}: {shorten(text.strip())} is no colour; write names or hexadecimal digits, "
            f'as in [red, "#00f"]{suggest(text, NAMED)}'
        )
    return found


def _entry(text: str, key: str) -> list[Part]:
    body, _, number = text.strip().partition("\\")
    body, number = body.strip(), number.strip()
    if number and not (number.isdecimal() and 1 <= int(number) <= LARGEST):
        raise ConfigError(
            f"{key}: {shorten(text)} asks for no number of colours; write 1 to {LARGEST}, as in \\8"
        )
    count = int(number) if number else None
    inner = body[1:-1] if body.startswith("[") and body.endswith("]") else None
    if _FILE.fullmatch(body if inner is None else inner):
        return [ImageColours((body if inner is None else inner).strip(), count or STEPS)]
    if body in NAMED:
        return _reduced(parse(re.split(r"\s+", NAMED[body]), key), count)
    if inner is not None:
        return _reduced([colour(word, key) for word in inner.split(",")], count)
    stops = [colour(word, key) for word in body.split("->")]
    return _reduced(list(stops), (count or STEPS) if len(stops) > 1 else count)


def _reduced(colours: list[Part], count: int | None) -> list[Part]:
    """So many colours evenly along the way from the first to the last; all of them without a count."""
    if count is None:
        return colours
    stops = [rgb for rgb in colours if not isinstance(rgb, ImageColours)]
    return [_between(stops, i * (len(stops) - 1) / max(1, count - 1)) for i in range(count)]


def _between(stops: Sequence[RGB], at: float) -> RGB:
    i = min(int(at), len(stops) - 1)
    low, high = stops[i], stops[min(i + 1, len(stops) - 1)]
    red, green, blue = (a + (at - i) * (b - a) for a, b in zip(low, high, strict=True))
    return red, green, blue


def _level(number: str) -> float:
    return min(255, int(number)) / 255


@lru_cache(maxsize=1024)
def _css(word: str) -> RGB | None:
    from PIL.ImageColor import getrgb  # noqa: PLC0415  # only for a config with colours

    try:
        red, green, blue = (value / 255 for value in getrgb(word)[:3])
    except ValueError:
        return None
    return red, green, blue
