"""How good a CLIP is on what it never trained on: names, a style, photographs."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import mean
from typing import Any, TypeAlias, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from training.images.dataset import Dataset
from training.images.words import with_article
from training.scenes.compose import Composer, Placement, lay, one_thread
from training.towers.heads import Heads
from training.towers.robust import steadiness
from training.towers.robust_losses import Attack
from training.work import Foreign

T = TypeVar("T")
Embed: TypeAlias = Callable[[T], Tensor]
SPLITS = ("names", "style", "photos")
PROMPTS = ("{}", "a picture of {}", "an icon of {}")


def pictures(data: Dataset, split: str, side: int, most: int = 800) -> tuple[Tensor, list[str]]:
    """Each held-out cut-out once, upright on white: n 3 s s in [0, 1], and their names."""
    rows = data.rows(split)[:most]
    composer = Composer(data, rows, data.wallpaper_rows("photos"), seed=0)
    place = Placement(size=0.9)
    with one_thread():
        made = [lay(torch.ones(3, side, side), composer.sprite(int(row)), place) for row in rows]
    return torch.stack(made), [data.index[row]["name"] for row in rows]


@torch.no_grad()
def retrieval(see: Embed[Tensor], read: Embed[list[str]], data: Dataset, side: int) -> dict[str, Any]:
    """For each held-out split: how often the right name comes first, and among the first five; of all, and of forty.

    `see` takes pictures n 3 s s in [0, 1], `read` sentences; both give unit vectors.
    """
    found = {}
    for split in SPLITS:
        if not len(data.rows(split)):
            continue
        images, names = pictures(data, split, side)
        candidates = list(dict.fromkeys(names))
        if split == "photos":  # beside the names of all other photographs
            candidates = list(dict.fromkeys(names + [r["name"] for r in data.index if r["style"] == "photo"]))
        texts = torch.stack([read([p.format(with_article(n)) for n in candidates]) for p in PROMPTS]).mean(0)
        seen = torch.cat([see(part) for part in torch.split(images, 32)])
        likeness = seen @ F.normalize(texts, dim=1).T
        own = likeness.gather(1, torch.tensor([candidates.index(name) for name in names])[:, None])
        before = (likeness > own).sum(1).tolist()
        found[split] = {"pictures": len(names), "candidates": len(candidates)} | {
            f"first{among}{label}": round(
                mean([chance(b, len(candidates), n or len(candidates), k) for b in before]), 3
            )
            for among, n in (("", 0), (" of forty", min(40, len(candidates))))
            for label, k in (("", 1), (" five", 5))
        }
    return found


def chance(before: int, candidates: int, among: int, within: int) -> float:
    """The chance to be within the first so many of `among` names, drawn at random with one's own among all candidates,
    of which `before` come before one's own (hypergeometric distribution)."""
    others, drawn = candidates - 1, among - 1
    ways = sum(
        math.comb(before, k) * math.comb(others - before, drawn - k) for k in range(min(within, drawn + 1))
    )
    return ways / math.comb(others, drawn)


def steady(tower: Foreign, before: Foreign, heads: Heads, data: Dataset, side: int) -> dict[str, float]:
    """Cosines of clean and attacked embeddings (4/255, ten steps) to the untouched tower's clean ones."""
    parts = [pictures(data, split, side)[0] for split in SPLITS if len(data.rows(split))]
    if not parts:
        return {}
    images = torch.cat([part[:: max(1, len(part) // 16)][:16] for part in parts])
    torch.manual_seed(1)
    found = steadiness(tower, before, heads, images, Attack(steps=10, stride=0.25))
    return {name: round(value, 3) for name, value in found.items()}
