"""Write images as the characters by which terminals show them; each protocol is a function of an image.

A cell is the place of one letter: `columns` and `rows` count them.
"""

import base64
import io
from collections.abc import Iterator, Mapping
from itertools import groupby

import numpy as np
from PIL import Image

KITTY, ITERM, SIXEL, BLOCKS = "kitty", "iTerm2", "sixel", "half blocks"
CHUNK = 4096  # bytes of base64 that kitty takes at once
COLOURS = 255  # of a sixel image; terminals have 256 registers, and the first is their background's


def protocol_of(environment: Mapping[str, str], has_true_colours: bool) -> str | None:
    """Tell which protocol a terminal has, by what it sets in the environment; None for none.

    tmux and screen pass on the colours of half blocks, and drop the other protocols unless their settings allow them.
    """
    name, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    blocks = BLOCKS if has_true_colours else None
    if name == "dumb" or "TMUX" in environment or name.startswith(("screen", "tmux")):
        return blocks
    if "KITTY_WINDOW_ID" in environment or name in ("xterm-kitty", "xterm-ghostty") or program == "ghostty":
        return KITTY
    if program in ("iTerm.app", "WezTerm") or environment.get("LC_TERMINAL") == "iTerm2":
        return ITERM
    is_sixel = (
        "sixel" in name or name.startswith(("foot", "mlterm", "contour", "yaft")) or program == "mintty"
    )
    return SIXEL if is_sixel else blocks


def kitty(image: Image.Image, columns: int, rows: int) -> str:
    """Spell an image in kitty's graphics protocol: PNG in base64, in chunks, shown at once; the terminal says nothing.

    The protocol: https://sw.kovidgoyal.net/kitty/graphics-protocol/
    """
    data = base64.b64encode(_png(image)).decode()
    chunks = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    keys = [f"a=T,f=100,q=2,c={columns},r={rows},"] + [""] * (len(chunks) - 1)
    more = [1] * (len(chunks) - 1) + [0]
    parts = zip(keys, more, chunks, strict=True)
    return "".join(f"\x1b_G{first}m={goes_on};{chunk}\x1b\\" for first, goes_on, chunk in parts)


def iterm(image: Image.Image, columns: int, rows: int) -> str:
    """Spell an image in iTerm2's protocol of inline images: https://iterm2.com/documentation-images.html."""
    data = _png(image)
    keys = f"inline=1;size={len(data)};width={columns};height={rows};preserveAspectRatio=0"
    return f"\x1b]1337;File={keys}:{base64.b64encode(data).decode()}\x07"


def sixel(image: Image.Image, cell: tuple[int, int], columns: int, rows: int) -> str:
    """Spell an image in sixels, of so many pixels a cell: https://vt100.net/docs/vt3xx-gp/chapter14.html."""
    size = (columns * cell[0], max(6, rows * cell[1] // 6 * 6))  # a band of sixels has six pixels
    small = image.resize(size).quantize(COLOURS, dither=Image.Dither.NONE)
    palette = np.array(small.getpalette() or []).reshape(-1, 3)
    pixels = np.asarray(small)
    registers = (
        f"#{i};2;{';'.join(str(round(level * 100 / 255)) for level in palette[i])}" for i in np.unique(pixels)
    )
    bands = "-".join(_band(pixels[top : top + 6]) for top in range(0, size[1], 6))
    return f'\x1bP0;1q"1;1;{size[0]};{size[1]}{"".join(registers)}{bands}\x1b\\'


def _band(pixels: np.ndarray) -> str:
    """Spell six rows of pixels (6 w): for each colour the columns that have it, and back to the left edge."""
    bits = 1 << np.arange(6)[:, None]
    lines = ((colour, ((pixels == colour) * bits).sum(0)) for colour in np.unique(pixels))
    return "$".join(f"#{colour}{''.join(_repeated(columns))}" for colour, columns in lines)


def _repeated(columns: np.ndarray) -> Iterator[str]:
    for value, same in groupby(columns.tolist()):
        sign, count = chr(63 + value), len(list(same))
        yield f"!{count}{sign}" if count > 3 else sign * count


def _png(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, format="PNG")
    return data.getvalue()
