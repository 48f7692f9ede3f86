"""Spoil pictures as half-painted ones are: noise, blur, and other light.

Letters in shapes: n pictures 3 s s in [0, 1].
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

NOISE, NOISY = 0.12, 0.4  # its strength at most, and the share of pictures that have some
BLURRED = 0.2
CONTRAST, LIGHT = 0.2, 0.08


def spoilt(images: Tensor, random: np.random.Generator) -> Tensor:
    """Spoil some pictures; `random`, on the CPU, chooses sizes, and torch's generator of the device all else."""
    n, _, s, _ = images.shape
    images = _blurred(images, s // int(random.integers(2, 5)))
    cells = min(s, int(2 ** random.integers(3, 8)))
    noise = _resized(torch.randn(n, 3, cells, cells, device=images.device), s)
    strength = NOISE * _uniform(images) * _some(images, NOISY)
    contrast, light = (width * (2 * _uniform(images) - 1) for width in (CONTRAST, LIGHT))
    return ((images - 0.5) * (1 + contrast) + 0.5 + light + strength * noise).clamp(0, 1)


def _blurred(images: Tensor, cells: int) -> Tensor:
    blurred = _resized(F.interpolate(images, (cells, cells), mode="area"), images.shape[-1])
    return torch.where(_some(images, BLURRED), blurred, images)


def _resized(images: Tensor, s: int) -> Tensor:
    return F.interpolate(images, (s, s), mode="bilinear", align_corners=False)


def _uniform(images: Tensor) -> Tensor:
    return torch.rand(len(images), 1, 1, 1, device=images.device)


def _some(images: Tensor, share: float) -> Tensor:
    return _uniform(images) < share
