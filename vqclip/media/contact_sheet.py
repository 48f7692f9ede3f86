"""Make contact sheets: many images on one."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from vqclip.base.errors import ImageError, SaveError, cause
from vqclip.base.files import atomic
from vqclip.media.opening import open_image

GAP = 4  # pixels
THUMB = 192  # pixels: the longer side of an image on the sheet of a batch
MOST = 400  # images on one sheet
LETTERS = 12  # pixels: the height of a caption's letters
LINE = 16  # pixels: the height of a caption's line


def contact_sheet(
    images: Sequence[Image.Image], columns: int | None = None, captions: Sequence[str] = ()
) -> Image.Image:
    """Arrange images on white in cells as large as the largest image, each with its caption below it.

    By default there are about as many rows as columns.
    """
    columns = min(columns or math.ceil(math.sqrt(len(images))), len(images))
    width, height = (max(image.size[side] for image in images) + GAP for side in (0, 1))
    height += LINE if captions else 0
    rows = math.ceil(len(images) / columns)
    sheet = Image.new("RGB", (columns * width - GAP, rows * height - GAP), "white")
    for i, image in enumerate(images):
        left, top = i % columns * width, i // columns * height
        room = height - GAP - (LINE if captions else 0)
        sheet.paste(image, (left + (width - GAP - image.width) // 2, top + (room - image.height) // 2))
        if captions:
            _write(sheet, captions[i], left, top + room, width - GAP)
    return sheet


def save_sheet(path: Path, sheet: Image.Image) -> None:
    """Write a sheet as PNG, whole or not at all. Raises SaveError."""
    try:
        with atomic(path) as file:
            sheet.save(file, format="PNG", optimize=True)
    except OSError as error:
        raise SaveError(f"{path} can't be written: {cause(error)}") from None


def thumbnail(path: Path, side: int = THUMB) -> Image.Image:
    """Read a file as an image whose longer side has at most so many pixels. Raises ImageError."""
    small = open_image(path)
    small.thumbnail((side, side))
    return small


def thumbnails(paths: Iterable[Path]) -> list[Image.Image]:
    """Read images of files and make them small. Files that can't be read are left out."""
    found = []
    for path in list(paths)[:MOST]:
        try:
            found.append(thumbnail(path))
        except ImageError:
            continue
    return found


def _write(sheet: Image.Image, text: str, left: int, top: int, width: int) -> None:
    """Write a line in the middle of a width; what is too long ends with an ellipsis."""
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(LETTERS)
    text = text.encode("utf-8", "replace").decode().replace("\n", " ")
    short = text
    while short and pen.textlength(short if short == text else f"{short}…", font) > width:
        short = short[:-1]
    short = short if short == text else f"{short}…"
    pen.text((left + (width - pen.textlength(short, font)) / 2, top + 1), short, "black", font)
