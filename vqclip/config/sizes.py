"""Read sizes: WxH, sizes by name, that of the init image, an aspect, and the margins by which an image grows."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqclip.base.errors import ConfigError, suggest

LARGEST_SIDE = 16384
CELL = 16  # named sizes and aspects are rounded to multiples of it, the cell of most VQGANs
SIDES = {"small": 128, "medium": 256, "large": 512}  # of a square
SHAPES = {"square": 1.0, "portrait": 4 / 5, "widescreen": 16 / 9}  # width / height
_ORIENTATION = 0x0112  # tag of EXIF
EDGES = ("left", "top", "right", "bottom")


@dataclass(frozen=True)
class Margins:
    """By how many pixels an image grows on each side."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0


def parse_size(text: str) -> tuple[int, int]:
    """'WxH' -> (width, height) in pixels; raises ConfigError."""
    match = re.fullmatch(r"\s*(\d{1,9})\s*[xX×]\s*(\d{1,9})\s*", text)
    if not match:
        raise ConfigError(
            f"size: {text!r} is no size; write width x height in pixels, as in 256x256, or init for that of the "
            f"init image, or words: {', '.join(SIDES)} and {', '.join(SHAPES)}"
        )
    width, height = int(match[1]), int(match[2])
    if not (min(width, height) >= 1 and max(width, height) <= LARGEST_SIDE):
        raise ConfigError(
            f"size: {text!r} is impossible; each side takes 1 to {LARGEST_SIDE} pixels, as in 256x256"
        )
    return width, height


def parse_aspect(text: str) -> float:
    """'16:9' -> width / height; raises ConfigError."""
    match = re.fullmatch(r"\s*(\d{1,5}(?:\.\d{1,5})?)\s*:\s*(\d{1,5}(?:\.\d{1,5})?)\s*", text)
    aspect = float(match[1]) / float(match[2]) if match and float(match[2]) else 0.0
    if not 1 / 64 <= aspect <= 64:
        raise ConfigError(f"aspect: {text!r} is none; write width:height, as in 16:9")
    return aspect


def parse_extend(text: str) -> Margins:
    """'left=64,top=32' -> Margins; raises ConfigError."""
    found: dict[str, int] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\w+)\s*=\s*(\d+)\s*", part)
        if not match or match[1] not in EDGES:
            word = match[1] if match else ""
            raise ConfigError(
                f"extend: {part.strip()!r} is no margin; write pixels for some of {', '.join(EDGES)}, as in "
                f"left=64,top=32{suggest(word, EDGES)}"
            )
        if match[1] in found:
            raise ConfigError(f"extend: {match[1]} is there twice; give it once")
        if len(match[2]) > 5:
            raise ConfigError(
                f"extend: {match[1]}={match[2][:20]} is too many pixels; 99999 at most is allowed"
            )
        found[match[1]] = int(match[2])
    return Margins(**found)


def in_pixels(values: Mapping[str, Any]) -> dict[str, Any]:
    """A config's values with its size as WxH: names, `init` and `aspect` are worked out. Raises UsageError."""
    size, aspect, init, extend = (values.get(name) for name in ("size", "aspect", "init", "extend"))
    if not isinstance(size, str) or not isinstance(aspect, str | None):
        return dict(values)  # refused by their types
    words = size.lower().split()
    if words == ["init"]:
        size = _size_of(init, extend)
    elif words and all(word in SIDES or word in SHAPES for word in words):
        size = _named(words, size)
    if aspect is not None:
        width, height = parse_size(size)
        size = _shaped(width * height, parse_aspect(aspect))
    return {**values, "size": size, "aspect": None}


def _size_of(init: Any, extend: Any) -> str:
    """The init image's size, and the margins by which it grows."""
    if not isinstance(init, str):
        raise ConfigError("size: init is the size of the init image, and there is none; add --init IMAGE")
    width, height = upright_size(Path(init))
    margins = parse_extend(extend) if isinstance(extend, str) else Margins()
    return f"{width + margins.left + margins.right}x{height + margins.top + margins.bottom}"


def upright_size(path: Path) -> tuple[int, int]:
    """Read width and height of an image file, turned as its EXIF says, from its header."""
    from PIL import Image  # noqa: PLC0415  # so that other configs are read without it

    try:
        with Image.open(path) as image:
            is_turned = image.getexif().get(_ORIENTATION, 1) >= 5
            width, height = image.size
    except Exception as error:  # Pillow's readers raise whatever a damaged file makes them stumble over
        why = "it isn't there" if isinstance(error, FileNotFoundError) else "it can't be read as an image"
        raise ConfigError(f"size: init is the size of {path}, and {why}; check its name") from None
    return (height, width) if is_turned else (width, height)


def _named(words: list[str], given: str) -> str:
    sides, shapes = ([word for word in words if word in known] for known in (SIDES, SHAPES))
    if len(sides) > 1 or len(shapes) > 1:
        raise ConfigError(f"size: {given!r} says two things; write one of each, as in large portrait")
    side = SIDES[sides[0]] if sides else SIDES["medium"]
    return _shaped(side * side, SHAPES[shapes[0]] if shapes else 1.0)


def _shaped(area: int, aspect: float) -> str:
    """About that area in that aspect."""
    sides = math.sqrt(area * aspect), math.sqrt(area / aspect)
    return "x".join(str(min(LARGEST_SIDE, max(CELL, round(side / CELL) * CELL))) for side in sides)
