"""A Sketchbook holds drawings of single things, to be found by what their names mean.

Letters in shapes: m drawings of s x s pixels, w words, k axes of the words' space, p pages (one word for one drawing).
"""

from io import BytesIO

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor, nn

from vqclip.ops import unit


class Sketchbook(nn.Module):
    """Cut-outs with premultiplied alpha (m 4 s s) in [0, 1], and the words for them."""

    axes: Tensor
    words: Tensor
    pages: Tensor
    drawings: Tensor

    def __init__(self, axes: Tensor, words: Tensor, pages: Tensor, sheet: Tensor, side: int):
        """Axes (e k), words (w k) along them, pages (p 2) of word and drawing; `sheet` is the bytes of a WebP."""
        super().__init__()
        self.register_buffer("axes", axes.float())
        self.register_buffer("words", unit(words.float()))
        self.register_buffer("pages", pages.long())
        self.register_buffer("drawings", _cut(sheet, side)[: int(self.pages[:, 1].max()) + 1])

    def search(self, meaning: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """The drawings (n 4 s s), at most `count`, whose words are nearest to an embedding (e), and how near (n)."""
        likeness = self.words @ unit(meaning.float() @ self.axes)
        nearest = self.pages[likeness[self.pages[:, 0]].argsort(descending=True, stable=True)]
        best: dict[int, int] = {}  # a drawing has several words: the first is the nearest
        for word, drawing in nearest[: 8 * count].tolist():
            best.setdefault(drawing, word)
        return self.drawings[list(best)[:count]], likeness[list(best.values())[:count]]


def _cut(sheet: Tensor, side: int) -> Tensor:
    with Image.open(BytesIO(sheet.numpy().tobytes())) as picture:
        pixels = torch.from_numpy(np.array(picture.convert("RGBA"))).float() / 255
    cut = rearrange(pixels, "(y t) (x u) c -> (y x) c t u", t=side, u=side)
    return torch.cat([cut[:, :3] * cut[:, 3:], cut[:, 3:]], 1)
