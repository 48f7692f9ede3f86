"""One file with all that a training needs: pictures as WebP, their words, and frozen networks as tensors.

It is a safetensors file; lists of WebPs lie in it as bytes, one after the other, with the place where each ends.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from training.packed.reader import Reader, Vocabulary
from vqclip.models.vqgan import VQGAN
from vqclip.models.vqgan_configs import NOTE, read_note

LARGEST = 40_000_000  # bytes of the file
KIND = "vqclip.packed"  # the note that says which training a file is for
PRIOR = "1"
QUALITY, ALPHA = 60, 40  # of the WebPs, up to 100
HELD_OUT = "names"  # the split that goes along, to be tried on


@dataclass(frozen=True)
class Packed:
    """A packed file, read: cut-outs with premultiplied alpha, wallpapers, and the frozen networks."""

    sprites: Tensor  # n 4 t t, uint8
    index: list[dict[str, Any]]
    walls: Tensor  # m 3 h w, uint8
    wall_index: list[dict[str, Any]]
    vqgan: VQGAN
    reader: Reader
    start: dict[str, Tensor]  # weights to begin with; empty if there are none

    @classmethod
    def open(cls, path: Path) -> Packed:
        told, tensors = read(path, PRIOR, f"python -m training.pack --out {path}")
        vqgan = VQGAN(read_note(path, told[NOTE]))
        vqgan.load_state_dict({k: v.float() for k, v in within(tensors, "vqgan.").items()})
        words = json.loads(bytes(tensors["words"].numpy()))
        vocabulary = Vocabulary(words["words"], words["first"], words["last"])
        return cls(
            torch.stack([premultiplied(picture) for picture in pictures(tensors, "sprites")]),
            lines(tensors["index"]),
            torch.stack([as_tensor(picture.convert("RGB")) for picture in pictures(tensors, "walls")]),
            lines(tensors["wall_index"]),
            vqgan.eval().requires_grad_(False),
            Reader(vocabulary, within(tensors, "reader."), words["heads"]),
            within(tensors, "start."),
        )

    def rows(self, split: str) -> np.ndarray:
        """Which cut-outs belong to a split."""
        return np.array([i for i, row in enumerate(self.index) if row["split"] == split], dtype=np.int64)


def read(path: Path, kind: str, command: str) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Read a packed file's notes and tensors; ends the program, naming a command, if it isn't of that kind."""
    if not path.is_file():
        raise SystemExit(f"there is no {path}: type {command}")
    with safe_open(path, "pt") as file:
        told = file.metadata() or {}
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # it is no dict
    if told.get(KIND) != kind:
        raise SystemExit(f"{path} is no packed file for this training: type {command}")
    return told, tensors


def save(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str]) -> int:
    """Write a packed file, and return its size in bytes; ends the program if that is more than is allowed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    save_file(dict(tensors), temporary, dict(notes))
    size = temporary.stat().st_size
    if size > LARGEST:
        temporary.unlink()
        raise SystemExit(
            f"the file would have {size / 1e6:.1f} MB of {LARGEST / 1e6:g}: give a smaller --side"
        )
    os.replace(temporary, path)
    return size


def webps(
    name: str, pictures: Iterable[Image.Image], quality: int = QUALITY, effort: int = 4
) -> dict[str, Tensor]:
    """Pictures as WebPs, one after the other, and where each ends; `effort`, up to 6, makes them smaller."""
    encoded = []
    for picture in pictures:
        buffer = io.BytesIO()
        picture.save(buffer, "webp", quality=quality, alpha_quality=ALPHA, method=effort)
        encoded.append(buffer.getvalue())
    ends = torch.tensor([len(one) for one in encoded]).cumsum(0)
    return {f"{name}.bytes": as_bytes(b"".join(encoded)), f"{name}.ends": ends}


def as_bytes(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def as_lines(rows: Sequence[Mapping[str, Any]]) -> Tensor:
    """Records as lines of JSON, in bytes."""
    return as_bytes("\n".join(json.dumps(row) for row in rows).encode())


def within(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def lines(content: Tensor) -> list[dict[str, Any]]:
    return [json.loads(line) for line in bytes(content.numpy()).decode().split("\n")]


def pictures(tensors: Mapping[str, Tensor], name: str) -> Iterable[Image.Image]:
    content, begin = bytes(tensors[f"{name}.bytes"].numpy()), 0
    for end in tensors[f"{name}.ends"].tolist():
        yield Image.open(io.BytesIO(content[begin:end]))
        begin = end


def premultiplied(picture: Image.Image) -> Tensor:
    return as_tensor(picture.convert("RGBA").convert("RGBa"))


def as_tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)
