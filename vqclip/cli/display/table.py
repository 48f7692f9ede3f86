"""Print a table that fits a terminal."""

import unicodedata
from collections.abc import Sequence

from vqclip.base.errors import visible
from vqclip.cli.display.console import result

WIDTH = 80
WIDEST = 30  # columns that are kept free for a cell; a wider one moves the rest of its line


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], width: int = WIDTH) -> None:
    """Print rows below a header on stdout; the last column is cut where a line would be wider than `width`."""
    lines = [header, *([visible(cell) for cell in row] for row in rows)]
    widths = [min(max(columns(line[i]) for line in lines), WIDEST) for i in range(len(header))]
    for line in lines:
        padded = [cell + " " * (wide - columns(cell)) for cell, wide in zip(line, widths, strict=True)]
        result(cut("  ".join(padded).rstrip(), width))


def columns(text: str) -> int:
    """Count the columns that a text takes on a terminal."""
    return sum(_columns(letter) for letter in text)


def cut(text: str, width: int) -> str:
    """Cut a text to so many columns, with … at its end."""
    if columns(text) <= width:
        return text
    kept = ""
    for letter in text:
        if columns(kept) + _columns(letter) > width - 1:
            break
        kept += letter
    return kept.rstrip() + "…"


def _columns(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
