"""The packed file of mini-clip-2's image tower: pictures with words, those held out, and the untouched tower."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.packed import file

KIND = "clip"
SPLITS = ("names", "style", "photos")  # what is held out
ADDED_SPLITS = ("added names", "added photos")  # the same of sources that came later


@dataclass(frozen=True)
class PackedClip:
    """A packed file, read; cut-outs have premultiplied alpha."""

    sprites: Tensor  # n 4 t t, uint8
    index: list[dict[str, Any]]
    tried: Tensor  # m 4 u u, uint8: what is held out
    tried_index: list[dict[str, Any]]
    walls: Tensor  # w 3 h w, uint8
    wall_index: list[dict[str, Any]]
    words: dict[str, list[int]]  # the tokens of each word
    untouched: dict[str, Tensor]  # the tower as it was before any attack

    @classmethod
    def open(cls, path: Path) -> PackedClip:
        """Read a file; ends the program if it is none of this training."""
        _, tensors = file.read(path, KIND, f"python -m training.pack --for clip --out {path}")
        sprites, tried = (
            torch.stack([file.premultiplied(picture) for picture in file.pictures(tensors, name)])
            for name in ("sprites", "tried")
        )
        walls = [file.as_tensor(picture.convert("RGB")) for picture in file.pictures(tensors, "walls")]
        return cls(
            sprites,
            file.lines(tensors["index"]),
            tried,
            file.lines(tensors["tried_index"]),
            torch.stack(walls),
            file.lines(tensors["wall_index"]),
            json.loads(bytes(tensors["words"].numpy())),
            file.within(tensors, "untouched."),
        )
