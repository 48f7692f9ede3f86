"""How steady an image tower is, and how well its pictures find their names, on what was held out.

Letters in shapes: n pictures 3 s s in [0, 1], e = 512 dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from statistics import mean

import torch
import torch.nn.functional as F
from torch import Tensor

from training.images.words import with_article
from training.packed.clip import ADDED_SPLITS, SPLITS, PackedClip
from training.scenes.compose import Placement, affine
from training.towers.lite import features
from training.towers.retrieval import PROMPTS
from training.towers.robust_losses import Attack, apart, attacked
from training.towers.start import Projection, Start
from training.work import Foreign

STRONG = Attack(steps=10, stride=0.25)
ATTACKED, SEEN = 16, 64  # pictures at a time
SIZE = 0.9  # of a cut-out on white, as a share of the side


class Held:
    """Held-out pictures on white, their candidates' sentences, and what the untouched tower sees."""

    def __init__(self, packed: PackedClip, start: Start, untouched: Foreign, attacked: int):
        """`untouched` is a folded tower in fp32, on the device of the reader of `start`; so many pictures
        of each split are attacked."""
        device = start.reader.positional_embedding.device
        self._scale, self._untouched = start.scale, untouched
        names = [row["name"] for row in packed.tried_index]
        photos = [row["name"] for row in packed.index if row["style"] == "photo"]
        self._splits: dict[str, tuple[Tensor, Tensor, Tensor]] = {}
        steady = []
        for split in (*SPLITS, *ADDED_SPLITS):
            rows = [i for i, row in enumerate(packed.tried_index) if row["split"] == split]
            if not rows:
                continue
            images = on_white(packed.tried[rows], start.side)
            own = [names[i] for i in rows]
            candidates = list(dict.fromkeys(own + photos if split == "photos" else own))
            where = torch.tensor([candidates.index(name) for name in own])
            self._splits[split] = images.to(device), self._read(start, candidates), where.to(device)
            if split in SPLITS:
                steady.append(images[:: max(1, len(images) // attacked)][:attacked])
        self._steady = torch.cat(steady or [on_white(packed.tried[:attacked], start.side)]).to(device)

    def _read(self, start: Start, names: Sequence[str]) -> Tensor:
        read = torch.stack([start.reader([p.format(with_article(n)) for n in names]) for p in PROMPTS])
        return F.normalize(read.mean(0), dim=1)

    def figures(self, tower: Foreign, projection: Projection) -> dict[str, float]:
        """Cosines of clean and attacked pictures to the untouched tower's clean ones, and retrieval."""
        return self._cosines(tower, projection) | self._retrieval(tower, projection)

    def _cosines(self, tower: Foreign, projection: Projection) -> dict[str, float]:
        found: dict[str, list[Tensor]] = {"clean": [], "attacked": []}
        torch.manual_seed(1)
        for images in torch.split(self._steady, ATTACKED):
            with torch.no_grad():
                clean = features(self._untouched, images)
            worst = attacked(tower, images, partial(apart, clean=clean, head=projection), STRONG)
            with torch.no_grad():
                for name, some in (("clean", images), ("attacked", worst)):
                    seen = projection.see(features(tower, some)) * projection.see(clean)
                    found[name].append(seen.sum(1))
        return {name: float(torch.cat(values).mean()) for name, values in found.items()}

    @torch.no_grad()
    def _retrieval(self, tower: Foreign, projection: Projection) -> dict[str, float]:
        """How often a picture's own name is first and among the first five, and its cross entropy among all."""
        found = {}
        for split, (images, texts, own) in self._splits.items():
            seen = torch.cat([projection.see(features(tower, part)) for part in torch.split(images, SEEN)])
            likeness = seen @ texts.T
            before = (likeness > likeness.gather(1, own[:, None])).sum(1).tolist()
            found[f"{split} loss"] = float(F.cross_entropy(self._scale * likeness, own))
            for label, among in (("first", 1), ("five", 5)):
                found[f"{split} {label}"] = mean(float(b < among) for b in before)
        return found


def on_white(cuts: Tensor, side: int) -> Tensor:
    """Lay cut-outs (uint8, n 4 t t, premultiplied), upright, on white: n 3 s s."""
    theta = torch.tensor([affine(Placement(size=SIZE))]).expand(len(cuts), 2, 3)
    grid = F.affine_grid(theta, [len(cuts), 4, side, side], align_corners=False)
    layer = F.grid_sample(cuts.float() / 255, grid, align_corners=False)
    return (layer[:, :3] + 1 - layer[:, 3:]).clamp(0, 1)
