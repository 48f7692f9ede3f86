"""What hardens an image tower: attacks on pictures, and the losses of what the tower sees in them.

An attacked picture shall keep the untouched tower's clean view (FARE, arXiv 2402.12336) and, where a sentence was said
of it, still be told from others' sentences (as in CLIPAG, arXiv 2306.16805).

Letters in shapes: n pictures 3 s s in [0, 1], k <= n of them with a sentence, m other sentences, f = 1280 features,
e = 512 dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from training.scenes.captions import agreement
from training.towers.lite import features
from training.work import Foreign


class Head(Protocol):
    """What turns features n f into unit vectors n e."""

    def see(self, features: Tensor, /) -> Tensor: ...


@dataclass(frozen=True)
class Told:
    """Sentences as unit vectors m e, and what each claims, m 5."""

    vectors: Tensor
    claims: Tensor


@dataclass(frozen=True)
class Batch:
    """Pictures n 3 s s; what the first k of them show, k 5, and a sentence for each."""

    images: Tensor
    shown: Tensor
    said: Told


@dataclass(frozen=True)
class Attack:
    """Projected gradient ascent within an L∞ or an L2 ball, from a random point of the L∞ ball.

    One step from there hardens nearly as well as several (arXiv 2001.03994) at two thirds of the price of two.
    In an L2 ball (`norm` "l2") the root mean square of the change is at most `radius`: few pixels may change by more.
    """

    radius: float = 4 / 255
    steps: int = 1
    stride: float = 1.0  # of the radius
    coarse: int = 1  # side in pixels of the squares that change alike, by the root of it more
    norm: str = "linf"  # or "l2"


def apart(ours: Tensor, clean: Tensor, head: Head, embedding: float = 2.0) -> Tensor:
    """Measure how far features n f went from clean ones: relative to their size, and as embeddings."""
    relative = (ours - clean).square().sum(1) / clean.square().sum(1).clamp_min(1e-6)
    return relative + embedding * (1 - (head.see(ours) * head.see(clean)).sum(1))


def margin(ours: Tensor, own: Tensor, other: Tensor, head: Head) -> Tensor:
    """Compute by how much features k f are nearer to another sentence than to their own (each k e): k."""
    return (head.see(ours) * (other - own)).sum(1)


def attacked(tower: Foreign, images: Tensor, loss: Callable[[Tensor], Tensor], attack: Attack) -> Tensor:
    """Find the pictures within the ball whose features n f have the largest `loss` n."""
    radius = attack.radius * attack.coarse**0.5
    n, c, s, _ = images.shape
    noise = (2 * torch.rand(n, c, *[s // attack.coarse] * 2, device=images.device) - 1) * radius
    for _ in range(attack.steps):
        leaf = _added(images, noise).requires_grad_()
        total = loss(features(tower, leaf)).sum()
        torch.autograd.backward(total, torch.ones_like(total))
        assert leaf.grad is not None
        uphill = F.interpolate(leaf.grad, noise.shape[2:], mode="area")
        noise = _moved(noise, uphill, radius, attack)
    return _added(images, noise).detach()


def _moved(noise: Tensor, uphill: Tensor, radius: float, attack: Attack) -> Tensor:
    """Take a step of the attack, and project into the ball."""
    stride = attack.stride * radius
    if attack.norm == "linf":
        return (noise + stride * uphill.sign()).clamp(-radius, radius)
    moved = noise + stride * uphill / _root_mean_square(uphill)
    return moved * (radius / _root_mean_square(moved)).clamp_max(1)


def _root_mean_square(values: Tensor) -> Tensor:
    """Compute the root mean square of each of n pictures: n 1 1 1."""
    return values.float().square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-12)


def _added(images: Tensor, noise: Tensor) -> Tensor:
    if noise.shape != images.shape:
        noise = F.interpolate(noise, images.shape[2:], mode="bilinear", align_corners=False)
    return (images + noise).clamp(0, 1)


def misnamed(seen: Tensor, shown: Tensor, said: Told, others: Told, scale: Tensor) -> Tensor:
    """Cross entropy of k embeddings' own sentences among others; doubtful ones are left out."""
    vectors = torch.cat([said.vectors, others.vectors])
    true, possible = agreement(shown, torch.cat([said.claims, others.claims]))
    true = true | torch.eye(*true.shape, dtype=torch.bool, device=true.device)
    logits = (scale * seen @ vectors.T).masked_fill(possible & ~true, -1e4)
    return -(true / true.sum(1, keepdim=True) * F.log_softmax(logits, dim=1)).sum(1).mean()
