"""The image prior: from a CLIP's embedding of a text to the embedding that an image of it would have.

Letters in shapes: n texts, e dimensions of an embedding.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NOTE = "vqclip.image_prior"  # the key of the file's header


class ImagePrior(nn.Module):
    """An affine map of the text's embedding, and two layers that correct it."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.width, self.hidden = width, hidden
        self.scale, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.inner, self.outer = nn.Linear(width, hidden), nn.Linear(hidden, width)

    @torch.no_grad()
    def begin(self, said: Tensor, seen: Tensor) -> None:
        """Begin with the move from the mean of texts (e) to that of images (e)."""
        self.shift.copy_(seen - said)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Turn unit vectors of texts (n e) into those of images (n e)."""
        scaled = embeddings * self.width**0.5  # numbers of variance 1
        corrected = self.outer(F.gelu(self.inner(scaled)))
        return F.normalize(embeddings * self.scale + self.shift + corrected, dim=-1)
