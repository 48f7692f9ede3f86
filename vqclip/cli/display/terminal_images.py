"""Show images in the terminal, by the protocol that it has."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console
from rich.text import Text

from vqclip.base.errors import ImageError
from vqclip.cli.display import terminal_protocols as protocols
from vqclip.cli.display.console import result_raw, say, shows_true_colour
from vqclip.cli.display.table import cut
from vqclip.media.contact_sheet import thumbnail

COLUMNS = 18  # of a thumbnail in a row of several
LARGE = 40  # columns of an image that stands alone
CELL = (10, 20)  # pixels of a cell, of terminals that don't tell
MOST_PIXELS = 512  # of a thumbnail's longer side


def protocol(wanted: bool | None) -> str | None:
    """Give the protocol in which stdout shows images, or None where it doesn't or they aren't wanted.

    A pipe or a file never gets images.
    """
    if wanted is False or not (sys.stdout and sys.stdout.isatty()):
        return None
    found = protocols.protocol_of(os.environ, shows_true_colour(Console()))
    if wanted and found is None:
        say("note", "this terminal has no true colours and no protocol for images that vqclip knows")
    return found


def print_thumbnails(protocol: str, images: Sequence[tuple[Path, str]]) -> None:
    """Print images with a label below each, several in a row. Those that can't be read are left out."""
    width = min(Console().width, 120)
    in_a_row = max(1, width // (COLUMNS + 1))
    shown = [(small, label) for path, label in images if (small := _thumbnail(path)) is not None]
    for start in range(0, len(shown), in_a_row):
        some = shown[start : start + in_a_row]
        cells = len(some) * (COLUMNS + 1) - 1, COLUMNS // 2
        _print(protocol, _row([image for image, _ in some]), *cells)
        result_raw(" ".join(f"{cut(label, COLUMNS):<{COLUMNS}}" for _, label in some).rstrip() + "\n")


def print_image(protocol: str, path: Path) -> None:
    """Print one image; nothing where it can't be read."""
    if (image := _thumbnail(path)) is None:
        return
    columns = min(LARGE, Console().width, max(1, LARGE * image.width // image.height))
    _print(protocol, image, columns, max(1, round(columns * image.height / image.width / 2)))


def half_blocks(image: Image.Image, columns: int, rows: int) -> Text:
    """Draw an image in characters: each is an upper half block, which shows two pixels, one above the other."""
    small = np.asarray(image.resize((columns, 2 * rows)))
    text = Text()
    for row in range(rows):
        for column in range(columns):
            above, below = (f"rgb({r},{g},{b})" for r, g, b in small[2 * row : 2 * row + 2, column])
            text.append("▀", style=f"{above} on {below}")
        text.append("\n")
    return text


def _print(protocol: str, image: Image.Image, columns: int, rows: int) -> None:
    if protocol == protocols.BLOCKS:
        Console(highlight=False).print(half_blocks(_opaque(image), columns, rows), end="")
    elif protocol == protocols.SIXEL:
        result_raw(protocols.sixel(_opaque(image), _cell(), columns, rows) + "\n")
    else:
        write = protocols.kitty if protocol == protocols.KITTY else protocols.iterm
        result_raw(write(image, columns, rows) + "\n")


def _row(images: Sequence[Image.Image]) -> Image.Image:
    """Put images side by side in squares as wide as COLUMNS, with a column between; what is left is transparent."""
    side = max(max(image.size) for image in images)
    step = side + side // COLUMNS
    sheet = Image.new("RGBA", (len(images) * step - side // COLUMNS, side))
    for i, image in enumerate(images):
        sheet.paste(image, (i * step + (side - image.width) // 2, (side - image.height) // 2))
    return sheet


def _opaque(image: Image.Image) -> Image.Image:
    """Lay an image over black, as most terminals are, or over white where they say that they are light."""
    colour = "white" if os.environ.get("COLORFGBG", "").endswith((";15", ";7")) else "black"
    return Image.alpha_composite(Image.new("RGBA", image.size, colour), image.convert("RGBA")).convert("RGB")


def _thumbnail(path: Path) -> Image.Image | None:
    try:
        return thumbnail(path, MOST_PIXELS)
    except ImageError:
        return None


def _cell() -> tuple[int, int]:
    """Give the pixels of a cell, if the terminal tells its size in pixels."""
    try:
        import fcntl  # noqa: PLC0415  # Windows has none
        import struct  # noqa: PLC0415
        import termios  # noqa: PLC0415

        told = fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, b"\0" * 8)
        rows, columns, width, height = struct.unpack("HHHH", told)
        return (width // columns, height // rows) if rows and columns and width and height else CELL
    except (ImportError, OSError, ValueError):
        return CELL
