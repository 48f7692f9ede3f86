"""Codes of painted scenes, each used several times: painting and encoding one costs more than learning from it.

Letters in shapes: n scenes, c codes of a picture, e dimensions of a sentence's embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.packed.file import Packed
from training.scenes.batches import Painter
from training.scenes.draws import Scene, SceneDraws
from vqclip.models.vqgan import VQGAN

ENCODED = 64  # pictures at a time


@dataclass(frozen=True)
class Batch:
    """Codes (n c) and embeddings of a sentence each (n e)."""

    codes: Tensor
    said: Tensor


class Encoder:
    """Turns scenes into codes and embeddings of their sentences."""

    def __init__(self, packed: Packed, side: int, device: torch.device):
        self.side, self.device = side, device
        self._painter = Painter(packed.sprites, packed.walls, device)
        self._vqgan: VQGAN = packed.vqgan.to(device)
        self._reader = packed.reader.to(device)

    @torch.no_grad()
    def codes(self, scenes: Sequence[Scene], generator: torch.Generator) -> Tensor:
        """Scenes → codes n c, row by row."""
        found = []
        for begin in range(0, len(scenes), ENCODED):
            images = self._painter.paint(scenes[begin : begin + ENCODED], self.side, generator)
            with torch.autocast(self.device.type, torch.bfloat16):
                latents = self._vqgan.encode(images * 2 - 1)
            found.append(self._vqgan.codes(latents).flatten(1))
        return torch.cat(found)

    def said(self, scenes: Sequence[Scene]) -> Tensor:
        """Scenes → both sentences' embeddings, n 2 e."""
        return self._reader([text for scene in scenes for text in scene.said]).unflatten(0, (-1, 2))


class CodePool:
    """The latest scenes' codes: each step `fresh` of the oldest are replaced, and a batch is drawn from all."""

    def __init__(self, encoder: Encoder, draws: SceneDraws, size: int, fresh: int):
        self._encoder, self._draws, self._size, self._fresh = encoder, draws, size, fresh
        self._generator = torch.Generator().manual_seed(int(draws.random.integers(2**31)))
        self._codes: Tensor | None = None
        self._said: Tensor | None = None
        self._next = 0

    def draw(self, count: int) -> Batch:
        """Add new scenes, and draw `count` of all, each with one of its sentences."""
        self._add(count if self._codes is None else self._fresh)
        assert self._codes is not None
        assert self._said is not None
        which = torch.randint(len(self._codes), (count,), generator=self._generator).to(self._codes.device)
        one = torch.randint(2, (count,), generator=self._generator).to(self._codes.device)
        return Batch(self._codes[which].long(), self._said[which, one].float())

    def _add(self, count: int) -> None:
        scenes = [self._draws.make() for _ in range(count)]
        codes = self._encoder.codes(scenes, self._generator).short()
        said = self._encoder.said(scenes).half()
        if self._codes is None or self._said is None:
            self._codes, self._said = codes, said
        elif len(self._codes) < self._size:
            self._codes, self._said = torch.cat([self._codes, codes]), torch.cat([self._said, said])
        else:
            places = (self._next + torch.arange(count, device=codes.device)) % len(self._codes)
            self._codes[places], self._said[places] = codes, said
            self._next = (self._next + count) % len(self._codes)
