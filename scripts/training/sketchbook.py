"""Fill the Sketchbook: which drawings, under which words, on one sheet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from io import BytesIO

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vqclip.models.sketch import SIDE

from .dataset import Dataset
from .scenes import weight
from .words import with_article

DRAWINGS, SYNONYMS = 3, 3  # of a name
AXES, COLUMNS = 96, 64
# Of several drawings of a name those that say most in few pixels.
STYLES = (
    "fluent-emoji",
    "noto",
    "clip art",
    "twemoji",
    "emojione",
    "fxemoji",
    "fluent-emoji-flat",
    "noto-v1",
)
# The book hands drawings on as they are: only those that ask no more than to be named.
LICENCES = {"public domain", "MIT", "Apache-2.0", "CC-BY-4.0"}


def fill(data: Dataset, read: Callable[[list[str]], Tensor]) -> dict[str, Tensor]:
    """The Sketchbook's tensors: see there."""
    rows = choose(data)
    named = [(with_article(data.index[row]["name"]), k) for k, row in enumerate(rows)]
    also = [
        (with_article(word), k) for k, row in enumerate(rows) for word in data.index[row]["words"][:SYNONYMS]
    ]
    pages = list(dict.fromkeys(named + also))  # what a thing is called comes before what it is also called
    words = list(dict.fromkeys(word for word, _ in pages))
    number = {word: k for k, word in enumerate(words)}
    meanings = torch.cat([read(words[k : k + 256]) for k in range(0, len(words), 256)]).float()
    axes = torch.linalg.svd(meanings, full_matrices=False).Vh[:AXES].T
    placed = meanings @ axes
    placed /= placed.abs().amax(1, keepdim=True)
    return {
        "axes": axes,
        "words": (127 * placed).round().to(torch.int8),
        "pages": torch.tensor([(number[word], k) for word, k in pages], dtype=torch.int16),
        "sheet": sheet(data, rows),
    }


def choose(data: Dataset) -> list[int]:
    """Of each name of a thing its best drawings, out of the split for training alone."""
    named: dict[str, list[int]] = defaultdict(list)
    for row in map(int, data.rows("train")):
        if weight(data.index[row]) >= 1 and data.index[row]["licence"] in LICENCES:
            named[data.index[row]["name"]].append(row)

    def rank(row: int) -> int:
        style = data.index[row]["style"]
        return STYLES.index(style) if style in STYLES else len(STYLES)

    return [row for rows in named.values() for row in sorted(rows, key=rank)[:DRAWINGS]]


def sheet(data: Dataset, rows: list[int]) -> Tensor:
    """All drawings side by side, as the bytes of a WebP."""
    whole = Image.new("RGBA", (COLUMNS * SIDE, -(-len(rows) // COLUMNS) * SIDE))
    for k, row in enumerate(rows):
        drawing = Image.fromarray(np.array(data.sprites[row])).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        whole.paste(drawing, (k % COLUMNS * SIDE, k // COLUMNS * SIDE))
    file = BytesIO()
    whole.save(file, "WEBP", quality=60, alpha_quality=50, method=6)
    return torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)
