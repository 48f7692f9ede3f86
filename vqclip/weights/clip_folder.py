"""Find the folder that a CLIP's name means, where no library has to be asked for it; this imports no torch."""

import os
from pathlib import Path

from vqclip.base.paths import expand
from vqclip.weights import store

CONFIG = "open_clip_config.json"


def clip_folder(name: str) -> Path | None:
    """Give the folder of a CLIP of the catalogue, or the folder that is named; None for open_clip's own names.

    An image tower alone has the folder of the CLIP whose text tower goes with it.
    """
    card = store.cards().get(name)
    if card is not None and card.family == "clip" and (card.ships or card.refused or store.record(name)):
        return clip_folder(card.text_of) if card.text_of else store.locate(card).parent
    return expand(name) if name and os.path.isdir(expand(name)) else None


def image_tower(name: str) -> Path | None:
    """Give the file of an image tower alone; None for all other CLIPs."""
    card = store.cards().get(name)
    return store.locate(card) if card is not None and card.text_of else None


def largest_file(folder: Path) -> Path | None:
    """Give the largest file in a folder, which has the weights; None if there is none."""
    files = [path for path in folder.iterdir() if path.is_file()]
    return max(files, key=lambda path: path.stat().st_size, default=None)
