"""Convert pytti's prompts, `text:weight_mask_cutoff:stop`."""

import re

from vqclip.base.errors import shorten
from vqclip.config.prompt import Kind
from vqclip.importing.table import Given, line

REGIONS = {"l": "left", "r": "right", "u": "top", "d": "bottom"}
OUTSIDE_BRACKETS = r"(?![^\[]*\])"


def split(text: str, sign: str) -> list[str]:
    """Split a text at a sign outside of brackets."""
    return [part.strip() for part in re.split(sign + OUTSIDE_BRACKETS, text) if part.strip()]


def prompt(text: str, given: Given) -> str:
    """Convert `text:weight_mask_cutoff:stop`, all but the text optional."""
    body, weight, stop, *_ = [*split(text, ":"), "", ""]
    weight, mask, *_ = [*([""] if weight.startswith("_") else []), *split(weight, "_"), "", ""]
    numbers = [read_weight(weight or "1", text, given)]
    if stop:
        numbers.append(read_weight(stop, text, given))
    image = re.fullmatch(r"\[(.*)\]", body)
    kind = Kind.IMAGE if image else Kind.TEXT
    return line(kind, image[1].strip() if image else body, numbers, region(mask, given))


def read_weight(value: str, text: str, given: Given) -> float:
    try:
        return float(value)
    except ValueError:
        given.note(f"the number {value} of {shorten(text)} is computed from the time; 1 stands in for it")
        return 1.0


def region(mask: str, given: Given) -> str:
    if file := re.fullmatch(r"\[(-?)(.*)\]", mask):
        if file[2].lower().endswith(".mp4"):
            given.note(f"a mask is an image, and {file[2]} is a video")
            return ""
        return ("not " if file[1] else "") + f"[{file[2]}]"
    if mask in ("", "a"):
        return ""
    if mask not in REGIONS:
        what = {"n": "small crops", "f": "large crops"}.get(mask, f"what CLIP finds by {shorten(mask)}")
        given.note(f"no region means {what}; the prompt holds for the whole image")
    return REGIONS.get(mask, "")
