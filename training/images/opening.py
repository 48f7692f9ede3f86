"""Open a picture of any kind that a package carries, as RGBA, and take off what does not belong to it."""

from __future__ import annotations

import gzip
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

NEARLY = 60  # how far from white, in all three channels together, the ground of a drawing may be


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
    """Open a file, or draw an SVG, at 224 pixels."""
    if picture.endswith((".png", ".webp", ".jpg")):
        with Image.open(picture) as opened:
            return opened.convert("RGBA")
    try:
        import resvg_py  # noqa: PLC0415
    except ImportError:
        raise SystemExit("rendering SVGs needs resvg-py: pip install 'vqclip[train]'") from None
    png = resvg_py.svg_to_bytes(svg_string=svg_text(picture), width=224, dpi=96, skip_system_fonts=True)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


def middle(picture: Image.Image, widest: float) -> Image.Image:
    """Cut off what is left and right, or above and below, of a picture that is longer than wide."""
    width, height = picture.size
    size = min(width, round(height * widest)), min(height, round(width * widest))
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    return picture.crop((left, top, left + size[0], top + size[1]))


def without_ground(picture: Image.Image) -> Image.Image:
    """Make the white around a drawing transparent; white within its outline stays."""
    framed = Image.new("RGB", (picture.width + 2, picture.height + 2), "white")
    framed.paste(picture, (1, 1))
    filled = framed.copy()
    ImageDraw.floodfill(filled, (0, 0), (255, 0, 255), thresh=NEARLY)
    ground = (np.asarray(filled) == (255, 0, 255)).all(2) & (np.asarray(framed) != (255, 0, 255)).any(2)
    alpha = Image.fromarray(np.where(ground, 0, 255).astype(np.uint8))
    framed.putalpha(alpha.filter(ImageFilter.MinFilter(3)).filter(ImageFilter.GaussianBlur(0.7)))
    return framed.crop((1, 1, picture.width + 1, picture.height + 1))
