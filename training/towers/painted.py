"""Images that the present tower takes for what a sentence says: climbed from noise, as the program's ascent climbs.

A tower that is told not to take them for it gives up the textures that please it, one after the other. So a classifier
becomes a model of what its pictures look like (JEM, arXiv 1912.03263).

Letters in shapes: n images 3 s s in [0, 1], m sentences, e = 512 dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from training.towers.lite import features
from training.towers.robust_losses import Head
from training.work import Foreign

SIDE = 96
LEVELS = (3, 6, 12, 24, 48, 96)  # cells across, whose gradients are climbed together
FALLOFF = 0.7  # power of the cells by which finer levels are slower
STRIDE = 0.08, 0.03  # of an image's first and last step, in a channel's whole range
CONTRAST = 0.075  # of the noise on each level that an image begins from
LIFE = 15  # times that an image is drawn until it begins anew
SMALLEST, GRAIN = 0.6, 0.1  # side of a crop as a share, and the strongest noise on it
LAG = 0.02  # of the running mean of what true pairs have


@dataclass(frozen=True)
class Painted:
    """Images n 3 s s and the vectors n e of the sentences that they were painted of."""

    images: Tensor
    vectors: Tensor


class PaintedPool:
    """Keeps images on their way. Each is climbed a little whenever it is drawn, and begins anew when it is old."""

    def __init__(self, count: int, steps: int, sentences: Tensor):
        """`count` images are drawn at a time and climb `steps` steps; `sentences` m e are what they are painted of."""
        self._count, self._steps, self._sentences = count, steps, sentences
        size, device = 8 * count, sentences.device
        self._images = torch.empty(size, 3, SIDE, SIDE, device=device)
        self._vectors = torch.empty(size, sentences.shape[1], device=device)
        self._ages = torch.arange(size, device=device) % LIFE  # not all shall begin at once
        self._true = torch.zeros((), device=device)
        self._next = 0
        self._begin(torch.ones(size, dtype=torch.bool, device=device), torch.arange(size, device=device))

    def climb(self, tower: Foreign, head: Head) -> Painted:
        """Draw the next images, and move them so that the tower likes them more."""
        rows = torch.arange(self._next, self._next + self._count, device=self._images.device)
        self._next = (self._next + self._count) % len(self._images)
        images, vectors = self._images[rows], self._vectors[rows]
        stride = STRIDE[0] + (STRIDE[1] - STRIDE[0]) * (self._ages[rows] / LIFE)[:, None, None, None]
        for _ in range(self._steps):
            images = (images + stride * uphill(tower, head, images, vectors)).clamp(0, 1)
        self._images[rows] = images
        self._ages[rows] = (self._ages[rows] + 1) % LIFE
        self._begin(self._ages[rows] == 0, rows)
        return Painted(images, vectors)

    def believed(self, tower: Foreign, head: Head, painted: Painted, true: Tensor, scale: Tensor) -> Tensor:
        """Measure how far painted images are taken for what their sentences say: softplus of the cosine, beyond that
        of true pairs (`true`, of any shape), times `scale`."""
        self._true = torch.where(self._true == 0, true.mean(), self._true.lerp(true.mean(), LAG))
        alike = (head.see(features(tower, crops(painted.images))) * painted.vectors).sum(1)
        return F.softplus(scale * (alike - self._true)).mean()

    def _begin(self, old: Tensor, rows: Tensor) -> None:
        """Make those of some rows that are `old` smooth noise again, of another sentence; no number is read."""
        device, n = self._images.device, len(rows)
        fresh = torch.full((n, 3, SIDE, SIDE), 0.5, device=device)
        for cells in LEVELS[:4]:
            fresh = fresh + CONTRAST * _resized(torch.randn(n, 3, cells, cells, device=device), SIDE)
        drawn = torch.randint(len(self._sentences), (n,), device=device)
        self._images[rows] = torch.where(old[:, None, None, None], fresh.clamp(0, 1), self._images[rows])
        self._vectors[rows] = torch.where(old[:, None], self._sentences[drawn], self._vectors[rows])


def uphill(tower: Foreign, head: Head, images: Tensor, vectors: Tensor) -> Tensor:
    """Find the direction n 3 s s in which images grow more like their sentences; its root mean square is at most 1."""
    leaf = images.clone().requires_grad_()
    alike = (head.see(features(tower, crops(leaf))) * vectors).sum()
    torch.autograd.backward(alike, torch.ones_like(alike))
    assert leaf.grad is not None
    slope, total, weights = leaf.grad, torch.zeros_like(images), 0.0
    for cells in LEVELS:
        weight = (LEVELS[0] / cells) ** FALLOFF
        level = _resized(F.interpolate(slope, (cells, cells), mode="area"), slope.shape[-1])
        size = level.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-12)
        total, weights = total + weight * level / size, weights + weight
    return (total / weights).detach()


def crops(images: Tensor) -> Tensor:
    """Cut a square at random out of each image n 3 s s, enlarged to the same side, with some noise."""
    n, _, s, _ = images.shape
    device = images.device
    share = SMALLEST + (1 - SMALLEST) * torch.rand(n, 1, device=device)
    shift = (1 - share) * (2 * torch.rand(n, 2, device=device) - 1)
    theta = torch.stack([share * torch.eye(2, device=device)[i] for i in range(2)], 1)
    grid = F.affine_grid(torch.cat([theta, shift[..., None]], 2), [n, 3, s, s], align_corners=False)
    seen = F.grid_sample(images, grid, align_corners=False)
    return seen + GRAIN * torch.rand(n, 1, 1, 1, device=device) * torch.randn_like(seen)


def _resized(images: Tensor, s: int) -> Tensor:
    return F.interpolate(images, (s, s), mode="bilinear", align_corners=False)
