"""Open pictures of all kinds as RGBA, crop photographs, and remove the background of drawings."""

from __future__ import annotations

import gzip
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

TOLERANCE = 60  # how far from white, in all three channels together, the background of a drawing may be


def svg_text(picture: str) -> str:
    """The SVG itself; older files lack the name spaces, and their metadata are often broken."""
    if picture.startswith("<"):
        return picture
    content = Path(picture).read_bytes()
    if content.startswith(b"\x1f\x8b"):  # some programs keep their SVGs compressed
        content = gzip.decompress(content)
    text = content.decode("utf-8", errors="replace")
    text = re.sub(r"<metadata.*?</metadata>", "", text, flags=re.DOTALL)
    head = re.search(r"<svg\b[^>]*>", text)
    if head is None:
        return text
    spaces = {"xmlns": "http://www.w3.org/2000/svg", "xmlns:xlink": "http://www.w3.org/1999/xlink"}
    spaces |= {
        f"xmlns:{prefix}": "urn:unknown"
        for prefix in set(re.findall(r"[<\s](\w+):\w+", text)) - {"xmlns", "xlink", "xml"}
    }
    missing = "".join(f' {name}="{place}"' for name, place in spaces.items() if f"{name}=" not in head[0])
    return text[: head.start() + 4] + missing + text[head.start() + 4 :]


def open_sprite(picture: str) -> Image.Image:
    """Open a file of pixels, or draw an SVG 224 pixels wide."""
    if picture.endswith((".png", ".webp", ".jpg")):
        with Image.open(picture) as opened:
            return opened.convert("RGBA")
    try:
        import resvg_py  # noqa: PLC0415
    except ImportError:
        raise SystemExit("rendering SVGs needs resvg-py: pip install 'vqclip[train]'") from None
    png = resvg_py.svg_to_bytes(svg_string=svg_text(picture), width=224, dpi=96, skip_system_fonts=True)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


def centre_crop(picture: Image.Image, largest_ratio: float) -> Image.Image:
    """Cut a picture down to an aspect ratio of at most `largest_ratio`, upright or not."""
    width, height = picture.size
    size = min(width, round(height * largest_ratio)), min(height, round(width * largest_ratio))
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    return picture.crop((left, top, left + size[0], top + size[1]))


def remove_background(picture: Image.Image) -> Image.Image:
    """Make the white around a drawing transparent; white within its outline stays."""
    framed = Image.new("RGB", (picture.width + 2, picture.height + 2), "white")
    framed.paste(picture, (1, 1))
    filled = framed.copy()
    ImageDraw.floodfill(filled, (0, 0), (255, 0, 255), thresh=TOLERANCE)
    background = (np.asarray(filled) == (255, 0, 255)).all(2) & (np.asarray(framed) != (255, 0, 255)).any(2)
    alpha = Image.fromarray(np.where(background, 0, 255).astype(np.uint8))
    framed.putalpha(alpha.filter(ImageFilter.MinFilter(3)).filter(ImageFilter.GaussianBlur(0.7)))
    return framed.crop((1, 1, picture.width + 1, picture.height + 1))
