"""How good a CLIP is on what it never trained on: names, a style, photographs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .compose import Composer, Placement, lay, one_thread
from .dataset import Dataset
from .heads import Heads
from .lite import normalise
from .robust import Attack, steadiness
from .words import with_article
from .work import Foreign

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
def retrieval(
    clip: Foreign, tokenizer: Callable[[list[str]], Tensor], data: Dataset, side: int
) -> dict[str, Any]:
    """For each held-out split: how often the right name comes first, and among the first five, of how many."""
    found = {}
    for split in SPLITS:
        if not len(data.rows(split)):
            continue
        images, names = pictures(data, split, side)
        candidates = list(dict.fromkeys(names))
        if split == "photos":  # beside the names of all other photographs
            candidates = list(dict.fromkeys(names + [r["name"] for r in data.index if r["style"] == "photo"]))
        texts = torch.stack(
            [
                clip.encode_text(tokenizer([p.format(with_article(n)) for n in candidates]), normalize=True)
                for p in PROMPTS
            ]
        ).mean(0)
        seen = torch.cat(
            [clip.encode_image(normalise(part), normalize=True) for part in torch.split(images, 32)]
        )
        order = (seen @ F.normalize(texts, dim=1).T).argsort(1, descending=True)
        right = torch.tensor([candidates.index(name) for name in names])[:, None] == order
        found[split] = {
            "pictures": len(names),
            "candidates": len(candidates),
            "first": round(float(right[:, 0].float().mean()), 3),
            "first five": round(float(right[:, :5].any(1).float().mean()), 3),
        }
    return found


def steady(tower: Foreign, before: Foreign, heads: Heads, data: Dataset, side: int) -> dict[str, float]:
    """Cosines of clean and attacked embeddings (4/255, ten steps) to the untouched tower's clean ones."""
    parts = [pictures(data, split, side)[0] for split in SPLITS if len(data.rows(split))]
    if not parts:
        return {}
    images = torch.cat([part[:: max(1, len(part) // 16)][:16] for part in parts])
    torch.manual_seed(1)
    found = steadiness(tower, before, heads, images, Attack(steps=10, stride=0.25))
    return {name: round(value, 3) for name, value in found.items()}
