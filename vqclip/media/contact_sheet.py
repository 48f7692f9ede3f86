"""Make contact sheets: many images on one."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

GAP = 4  # pixels
THUMB = 192  # pixels: the longer side of a picture on the sheet of a batch
MOST = 400  # pictures on one sheet


def contact_sheet(images: Sequence[Image.Image]) -> Image.Image:
    """Arrange images on white in about as many rows as columns, in cells as large as the largest image."""
    columns = math.ceil(math.sqrt(len(images)))
    width, height = (max(image.size[side] for image in images) + GAP for side in (0, 1))
    rows = math.ceil(len(images) / columns)
    sheet = Image.new("RGB", (columns * width - GAP, rows * height - GAP), "white")
    for i, image in enumerate(images):
        left, top = i % columns * width, i // columns * height
        sheet.paste(
            image, (left + (width - GAP - image.width) // 2, top + (height - GAP - image.height) // 2)
        )
    return sheet


def thumbnails(paths: Iterable[Path]) -> list[Image.Image]:
    """Read images of files and make them small. Files that can't be read are left out."""
    found = []
    for path in list(paths)[:MOST]:
        try:
            with Image.open(path) as image:
                small = image.convert("RGB")
        except Exception:  # whatever a damaged file makes Pillow stumble over
            continue
        small.thumbnail((THUMB, THUMB))
        found.append(small)
    return found
