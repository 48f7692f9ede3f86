"""Search drawings of single things and of whole scenes by the embeddings of their names.

Letters in shapes: drawings of s x s pixels, w words, k axes of the words' space, p pages (pairs of word and drawing).
"""

from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vqclip.base.errors import WeightsError
from vqclip.guidance.ops import unit
from vqclip.weights import store

SIDE, COLUMNS = 64, 64  # of a drawing in pixels; drawings in a strip
NAME = 0.3  # weight of a drawing's own name in its similarity, beside another word for it


class Sketchbook:
    """Hold drawings of things, then of scenes, and the words for them; all on the CPU."""

    def __init__(
        self, axes: Tensor, words: Tensor, pages: Tensor, things: Tensor, ends: Tensor, strips: Tensor
    ):
        """Take axes (e k), words (w k), pages (p 3: word, drawing, its name), and the number of drawings of things.

        `strips` are the bytes of WebPs, one after the other, each with COLUMNS drawings side by side; `ends` says where
        each one ends.
        """
        self.axes, self.words, self.pages = axes.float(), unit(words.float()), pages.long()
        self._scenes = self.pages[:, 1] >= things
        self._strips = [part.numpy().tobytes() for part in strips.tensor_split(ends[:-1].long())]
        self._read: dict[int, Tensor] = {}

    def search(self, embedding: Tensor, count: int, scenes: bool) -> list[tuple[Tensor, float]]:
        """Find at most `count` scenes or things (4 s s) whose words are nearest to an embedding (e), with cosines."""
        likeness = self.words @ unit(embedding.to(self.axes) @ self.axes)
        word, drawing, name = self.pages[self._scenes == scenes].T
        near, order = torch.lerp(likeness[word], likeness[name], NAME).sort(descending=True, stable=True)
        best: dict[int, float] = {}  # a drawing has several words: the first is the nearest
        for k, value in zip(drawing[order].tolist(), near.tolist(), strict=True):
            best.setdefault(k, value)
            if len(best) == count:
                break
        return [(self.drawing(k), value) for k, value in best.items()]

    def drawing(self, k: int) -> Tensor:
        """Read a drawing (4 s s) in [0, 1], with premultiplied alpha."""
        strip, column = divmod(k, COLUMNS)
        if (
            strip not in self._read
        ):  # read a strip when it is first used: this is faster than reading all of them
            with Image.open(BytesIO(self._strips[strip])) as strip_image:
                self._read[strip] = torch.from_numpy(np.array(strip_image.convert("RGBA")))
        side = len(self._read[strip])
        pixels = self._read[strip][:, column * side :][:, :side].permute(2, 0, 1) / 255
        return torch.cat([pixels[:3] * pixels[3:], pixels[3:]])


def load_sketchbook(name: str) -> Sketchbook:
    """Load the sketchbook of a catalogue name or a file; raises WeightsError."""
    return read_sketchbook(find_sketchbook(name))


def find_sketchbook(name: str) -> Path:
    """Find the file that a catalogue name means, or that is named itself; raises WeightsError."""
    return store.find_file(name, "sketchbook", "the names are")


def read_sketchbook(file: Path) -> Sketchbook:
    """Read the sketchbook in a file; raises WeightsError."""
    try:
        tensors = load_file(file)
        return Sketchbook(*(tensors[name] for name in ("axes", "words", "pages", "things", "ends", "strips")))
    except (OSError, SafetensorError, KeyError) as error:
        raise WeightsError(f"{file} is no sketchbook ({' '.join(str(error).split())})") from None
