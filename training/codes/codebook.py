"""The parts of a VQGAN that only its training needs: a learning codebook and a critic of patches.

Letters in shapes: n pictures, y x latent cells, c of them in all, d latent channels, k codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from vqclip.models.vqgan import VQGAN


class Codebook:
    """Codes as running means of the encodings that chose them (arXiv 1711.00937, appendix A)."""

    def __init__(self, model: VQGAN, decay: float = 0.98, ready: bool = False):
        self.model, self.decay = model, decay
        codes = len(model.codebook)
        self.counts, self.sums = torch.ones(codes), model.codebook.detach().clone()
        self.ready = ready  # whether the model's codes are worth using yet

    @torch.no_grad()
    def begin(self, cells: Tensor, rounds: int = 12) -> None:
        """k-means on encodings (c d), from a random choice of them."""
        codes = len(self.counts)
        centres = cells[torch.randperm(len(cells))[torch.arange(codes) % len(cells)]].clone()
        for _ in range(rounds):
            nearest = torch.cdist(cells, centres).argmin(1)
            counts = torch.bincount(nearest, minlength=codes)
            sums = torch.zeros_like(centres).index_add_(0, nearest, cells)
            lone = counts == 0
            centres = sums / counts.clamp_min(1)[:, None]
            centres[lone] = cells[torch.randint(len(cells), (int(lone.sum()),))]
        self.counts, self.sums = torch.ones(codes), centres.clone()
        self.model.codebook.copy_(centres)
        self.ready = True

    @torch.no_grad()
    def update(self, h: Tensor, codes: Tensor, restart: bool) -> None:
        """Move each code towards its encodings h (n d y x); unused ones begin anew at random encodings."""
        cells, chosen = rearrange(h, "n d y x -> (n y x) d").float(), codes.flatten()
        counts = torch.bincount(chosen, minlength=len(self.counts)).float()
        self.counts.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(torch.zeros_like(self.sums).index_add_(0, chosen, cells), 1 - self.decay)
        if restart:
            dead = self.counts < 0.03
            self.sums[dead] = cells[torch.randint(len(cells), (int(dead.sum()),))]
            self.counts[dead] = 1.0
        self.model.codebook.copy_(self.sums / self.counts.clamp_min(1e-3)[:, None])

    def state_dict(self) -> dict[str, Any]:
        return {"counts": self.counts, "sums": self.sums, "ready": self.ready}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.counts, self.sums, self.ready = state["counts"], state["sums"], state["ready"]


class Critic(nn.Sequential):
    """Judges patches: pictures n 3 h w → real (high) or made (low) for each of n 1 h/4 w/4."""

    def __init__(self, width: int = 32):
        def layer(a: int, b: int, stride: int) -> nn.Module:
            return nn.utils.parametrizations.spectral_norm(
                nn.Conv2d(a, b, 4 if stride == 2 else 3, stride, 1)
            )

        super().__init__(
            layer(3, width, 2),
            nn.LeakyReLU(0.2),
            layer(width, 2 * width, 2),
            nn.LeakyReLU(0.2),
            layer(2 * width, 4 * width, 1),
            nn.LeakyReLU(0.2),
            layer(4 * width, 1, 1),
        )
