"""A cut-out to be rendered, and which split it belongs to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

HELD_OUT_STYLE = "emojione-v1"
WHOLE_PHOTO = "whole photo"  # with its own background, where "photo" is a cut-out
NAMES, PHOTOS = 20, 7  # one of so many names is held out


@dataclass(frozen=True)
class Sprite:
    """A cut-out to be rendered: where it is, what it shows, who allows what."""

    source: str
    style: str
    name: str
    words: tuple[str, ...]
    licence: str
    picture: str  # path of a file, or SVG text
    added: bool = False  # its source came after mini-clip-2's splits were fixed

    @property
    def split(self) -> str:
        """Held-out names, a held-out style and held-out photographs never meet training.

        Added sources have splits of their own: names that the first splits hold out are held out there too.
        """
        if self.style == "photo":
            return "photos" if held_out(self.name, PHOTOS) else "train"
        if self.style == WHOLE_PHOTO and held_out(self.name, PHOTOS):
            return "added photos"
        if self.added:
            return "added names" if held_out(self.name, NAMES) else "train"
        if self.source.startswith("@iconify") and held_out(self.name, NAMES):
            return "names"
        return "style" if self.style == HELD_OUT_STYLE else "train"


def held_out(name: str, every: int) -> bool:
    """Whether a name is the one of so many that is held out, by its hash."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % every == 0
