"""The Sketcher guesses, from words alone and at once, the colours and rough shapes to begin painting with.

It maps an embedding, as its CLIP's text tower writes it, and the number of a guess to a thumbnail.
"""

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from vqclip.errors import WeightsError, suggest
from vqclip.models import catalog, store
from vqclip.ops import unit

READER = "mini-clip"  # the CLIP whose embeddings the sketchers of the catalogue were trained on
EMBED, GUESSES, SIDE = 512, 4, 32


class Sketcher(nn.Module):
    """A perceptron over a learnt basis of thumbnails."""

    def __init__(self, width: int = 640, rank: int = 256):
        super().__init__()
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
    sketcher = Sketcher()
    sketcher.load_state_dict(load_file(store.locate(card)))
    return sketcher.float().eval().requires_grad_(False)
