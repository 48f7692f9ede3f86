"""Read the colours of images, for palettes that name image files."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from vqclip.config.palette import RGB, ImageColours, Part
from vqclip.media.image import load_image, to_pil


def colours(parts: Sequence[Part], base: Path) -> list[RGB]:
    """Give the colours of a palette, each to 8 bits; its images' paths begin at `base`. Raises ImageError."""
    found: list[RGB] = []
    for part in parts:
        found += dominant_colours(base / part.file, part.count) if isinstance(part, ImageColours) else [part]
    return [(_eight_bits(r), _eight_bits(g), _eight_bits(b)) for r, g, b in dict.fromkeys(found)]


def dominant_colours(path: Path, count: int) -> list[RGB]:
    """Find up to `count` colours of an image by median cut (Heckbert, 1982), as Pillow does it."""
    reduced = to_pil(load_image(path)).quantize(count, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    table = reduced.convert("RGB").getcolors(count) or []
    return [(rgb[0] / 255, rgb[1] / 255, rgb[2] / 255) for _, rgb in sorted(table, reverse=True)]  # type: ignore[index]


def _eight_bits(level: float) -> float:
    return round(level * 255) / 255
