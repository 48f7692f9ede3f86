"""Find a transformer over codes by its name in the store, or by its file, and read its description. No torch."""

import os
from pathlib import Path

from vqclip.base.errors import WeightsError, suggest
from vqclip.base.paths import expand
from vqclip.models.transformer.architecture import TransformerArchitecture, read_note
from vqclip.weights import store


def find_transformer(name: str) -> Path:
    """The file that a name in the store means, or that is named itself; raises WeightsError."""
    known = store.cards()
    card = known.get(name)
    if card is not None and card.family == "transformer":
        return store.locate(card)
    path = expand(name)
    if not os.path.isfile(path):
        names = [other.name for other in known.values() if other.family == "transformer"]
        here = f"; the names are {', '.join(names)}{suggest(name, names)}" if names else ""
        raise WeightsError(f"there is no transformer {name!r}{here}; `vqclip models import FILE` makes one")
    return path


def architecture_of(name: str) -> TransformerArchitecture:
    """What the transformer of a name or file is made of; raises WeightsError. No numbers are read."""
    return read_note(find_transformer(name))
