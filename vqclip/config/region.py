"""Read the region of an image that a prompt holds for, as it stands after the prompt's @.

    region  =  [ "not " ]  ( name | "x,y,w,h" | "[mask.png]" )

Names are left, right, top, bottom (halves), centre and edges. Numbers are shares of the image's width and height.
"""

import re
from dataclasses import dataclass

from vqclip.base.errors import PromptError, suggest

_NUMBER = r"(?:\d+\.?\d*|\.\d+)"
_MARGIN = 0.25  # of the centre, on each side
BOXES = {  # left, top, width and height, as shares
    "left": (0.0, 0.0, 0.5, 1.0),
    "right": (0.5, 0.0, 0.5, 1.0),
    "top": (0.0, 0.0, 1.0, 0.5),
    "bottom": (0.0, 0.5, 1.0, 0.5),
    "centre": (_MARGIN, _MARGIN, 1 - 2 * _MARGIN, 1 - 2 * _MARGIN),
    "center": (_MARGIN, _MARGIN, 1 - 2 * _MARGIN, 1 - 2 * _MARGIN),
}
INVERSES = {"edges": "centre"}
# A regular expression of what may follow the @. Anything else after an @ belongs to the text.
PATTERN = (
    rf"(?:not\s+)?(?:{'|'.join([*BOXES, *INVERSES])}|{_NUMBER}(?:\s*,\s*{_NUMBER}){{3}}|\[(?:[^\]\\]|\\.)+\])"
)


@dataclass(frozen=True)
class Region:
    """A box (left, top, width, height in shares) or a mask's file, or all but it."""

    box: tuple[float, float, float, float] | None = None
    file: str | None = None
    is_inverse: bool = False


def parse(text: str) -> Region:
    """Parse a text that PATTERN matches. Raises PromptError for a box that lies outside the image."""
    match = re.fullmatch(r"(not\s+)?(.*)", text.strip(), re.DOTALL)
    assert match
    is_inverse, body = match[1] is not None, match[2]
    if body.startswith("["):
        return Region(file=re.sub(r"\\([\]\\])", r"\1", body[1:-1]).strip(), is_inverse=is_inverse)
    if body in INVERSES:
        return Region(box=BOXES[INVERSES[body]], is_inverse=not is_inverse)
    if body in BOXES:
        return Region(box=BOXES[body], is_inverse=is_inverse)
    left, top, width, height = map(float, body.split(","))
    if not (width > 0 and height > 0 and left + width <= 1.001 and top + height <= 1.001):
        raise PromptError(
            f"@ {body}: this box lies outside the image; write left, top, width and height as shares, as in "
            "@ 0.5,0,0.5,1"
        )
    return Region(box=(left, top, width, height), is_inverse=is_inverse)


def misspelt(text: str) -> str:
    """Describe a word at a text's end, after an @, that is near a region's name and none; "" if there is none."""
    match = re.search(r"\s@\s+(?:not\s+)?(\w{2,8})\s*$", text)
    near = suggest(match[1], [*BOXES, *INVERSES], most=1) if match else ""
    return f"@ {match[1]} is read as text, as it names no region{near}" if match and near else ""


def misplaced(line: str) -> str:
    """Describe a weight that stands before a region, where it belongs to the text; "" if there is none."""
    match = re.search(rf":\s*([-+]?{_NUMBER})\s+@\s+({PATTERN})\s*(?:[:|^]|$)", line)
    return (
        f":{match[1]} before the @ is read as text; a weight follows the region, as in @ {match[2]}:{match[1]}"
        if match
        else ""
    )
