"""The Sketcher guesses, from words alone and at once, the colours and rough shapes to begin painting with.

It maps an embedding, as its CLIP's text tower writes it, and the number of a guess to a thumbnail; and it has a
Sketchbook of single things, as a guess at a thing of many shapes is the blur of them all.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from vqclip.errors import WeightsError, suggest
from vqclip.models import catalog, store
from vqclip.models.sketchbook import Sketchbook
from vqclip.ops import unit

READER = "mini-clip"  # the CLIP whose embeddings the sketchers of the catalogue were trained on
EMBED, GUESSES, SIDE = 512, 4, 32
BOOK = "book."  # what the names of a Sketchbook's tensors begin with


class Sketcher(nn.Module):
    """A perceptron over a learnt basis of thumbnails, and a Sketchbook if it has one."""

    def __init__(self, width: int = 384, rank: int = 128):
        super().__init__()
        self.book: Sketchbook | None = None
        self.centre = nn.Buffer(torch.zeros(EMBED))  # of the wishes, as is their spread
        self.spread = nn.Buffer(torch.ones(EMBED))
        self.wish = nn.Linear(EMBED, width)
        self.guess = nn.Embedding(GUESSES, width)
        self.layers = nn.Sequential(
            nn.GELU(),
            nn.LayerNorm(width),
            nn.Linear(width, width),
            nn.GELU(),
            nn.LayerNorm(width),
            nn.Linear(width, rank),
        )
        self.basis = nn.Linear(rank, 3 * SIDE * SIDE)

    def forward(self, wish: Tensor, guess: Tensor) -> Tensor:
        """Embeddings (n 512) of any length and numbers (n) below 4 -> pictures (n 3 32 32), about in [0, 1]."""
        x = self.wish((unit(wish) - self.centre) / self.spread) + self.guess(guess)
        return self.basis(self.layers(x)).view(-1, 3, SIDE, SIDE) + 0.5


def load_sketcher(name: str) -> Sketcher:
    """The frozen sketcher of a catalogue name; raises WeightsError."""
    card = catalog.cards().get(name)
    if card is None or card.family != "sketcher":
        known = catalog.names("sketcher")
        raise WeightsError(
            f"there is no sketcher {name!r}; the names are {', '.join(known)}{suggest(name, known)}"
        )
    return read_sketcher(store.locate(card))


def read_sketcher(file: Path) -> Sketcher:
    """The frozen sketcher in a file."""
    tensors = load_file(file)
    pages = {name: tensors.pop(f"{BOOK}{name}") for name in ("axes", "words", "pages", "sheet")}
    sketcher = Sketcher()
    sketcher.load_state_dict(tensors)
    sketcher.book = Sketchbook(**pages, side=SIDE)
    return sketcher.float().eval().requires_grad_(False)
