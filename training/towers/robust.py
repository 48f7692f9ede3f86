"""Stage three: the image tower learns not to be moved by what no eye sees (FARE, arXiv 2402.12336).

A tower that tiny perturbations can't move has gradients that paint shapes (arXiv 1906.09453), which is what an
optimised picture needs.

Letters in shapes: n pictures 3 s s in [0, 1], k <= n of them with a sentence, m other sentences, f = 1280 features,
e = 512 dimensions.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training import work
from training.towers.depthwise import swift
from training.towers.heads import Heads
from training.towers.lite import features, folded, unfolded
from training.towers.robust_losses import Attack, Batch, Told, apart, attacked, misnamed
from training.work import Foreign

SIDES = (96, 112, 128)  # smaller pictures are cheaper, and objects come in more sizes
NAMING = 0.15  # the weight of the sentences' loss, which is some three times as large as the distance


Draw = Callable[[int, int], Batch]  # how many, and their side


MILD = Attack()


def harden(
    tower: Foreign,
    heads: Heads,
    draw: Draw,
    others: Told,
    minutes: float,
    folder: Path,
    *,
    attack: Attack = MILD,
    batch: int = 16,
    rate: float = 4e-4,
) -> Foreign:
    """Fine-tune a copy of the tower for the given time; statistics of its normalisation stay as they are.

    Master weights and optimiser are fp32, everything that sees pictures is a bf16 copy of them.
    """
    heads = copy.deepcopy(heads).eval().requires_grad_(False)
    master = folded(tower).requires_grad_(True)
    before, worker = (swift(copy.deepcopy(master).bfloat16().requires_grad_(False)) for _ in range(2))
    optimizer = torch.optim.AdamW(master.parameters(), rate, betas=(0.9, 0.99), weight_decay=1e-4)
    average = work.Average(master, decay=0.99)
    kept: dict[str, Any] = {"master": master, "average": average, "optimizer": optimizer}
    state = work.load_snapshot(folder / "robust.pt")
    if state:
        for name, part in kept.items():
            part.load_state_dict(state[name])
    step, clock = state["step"] if state else 0, work.Clock(minutes, state["spent"] if state else 0.0)
    save, tell, threads = work.Every(90), work.Every(30), work.Threads()

    def snapshot() -> None:
        parts = {name: part.state_dict() for name, part in kept.items()}
        work.save_snapshot(parts | {"step": step, "spent": clock.spent}, folder / "robust.pt")

    while clock.progress < 1 or step == 0:
        threads.adapt()
        work.set_rate(optimizer, rate * work.falling(clock.progress, step, warmup=40))
        side = SIDES[int(torch.randint(len(SIDES), ()))]
        seen = draw(batch, side)
        grown = Attack(attack.radius * min(1.0, 0.35 + 4 * clock.progress), attack.steps, attack.stride)
        away, named = descend(master, worker, before, heads, seen, others, grown)
        nn.utils.clip_grad_norm_(master.parameters(), 1.0)
        optimizer.step()
        average.update(master)
        step += 1
        if tell.due():
            told = {
                "minutes": clock.spent / 60,
                "radius": grown.radius * 255,
                "apart": away,
                "misnamed": named,
            }
            work.log(folder / "log.jsonl", stage="robust", step=step, **told)
        if save.due():
            snapshot()
    snapshot()
    return unfolded(average.module, tower)


def descend(
    master: Foreign,
    worker: Foreign,
    before: Foreign,
    heads: Heads,
    batch: Batch,
    others: Told,
    attack: Attack,
    few: int = 512,
) -> tuple[float, float]:
    """Put the gradient of the attacked pictures' two losses into `master`; returns the losses."""
    with torch.no_grad():
        for ours, theirs in zip(worker.parameters(), master.parameters(), strict=True):
            ours.copy_(theirs)
        clean = features(before, batch.images)
    worst = attacked(
        worker.requires_grad_(False), batch.images, partial(apart, clean=clean, head=heads), attack
    )
    worker.requires_grad_(True).zero_grad(set_to_none=True)
    seen = features(worker, worst)
    away = apart(seen, clean, heads).mean()
    drawn = torch.randint(len(others.claims), (few,))
    told = Told(others.vectors[drawn], others.claims[drawn])
    scale = heads.scale.exp().clamp_max(60)
    named = misnamed(heads.see(seen[: len(batch.shown)]), batch.shown, batch.said, told, scale)
    torch.autograd.backward(away + NAMING * named)
    for ours, theirs in zip(worker.parameters(), master.parameters(), strict=True):
        theirs.grad = None if ours.grad is None else ours.grad.float()
    return float(away.detach()), float(named.detach())


def steadiness(
    tower: Foreign, before: Foreign, heads: Heads, images: Tensor, attack: Attack
) -> dict[str, float]:
    """Cosine to the untouched tower's clean embedding, for clean and for attacked pictures."""
    heads = copy.deepcopy(heads).eval().requires_grad_(False)
    tower, before = (folded(t).requires_grad_(False) for t in (tower, before))
    cosines: dict[str, list[Tensor]] = {"clean": [], "attacked": []}
    for part in torch.split(images, 16):
        with torch.no_grad():
            clean = features(before, part)
        worst = attacked(tower, part, partial(apart, clean=clean, head=heads), attack)
        with torch.no_grad():
            for name, seen in (("clean", part), ("attacked", worst)):
                cosines[name].append((heads.see(features(tower, seen)) * heads.see(clean)).sum(1))
    return {name: float(torch.cat(values).mean()) for name, values in cosines.items()}


def noisy(images: Tensor) -> Tensor:
    """Now and then some noise, fine or coarse, as a half-painted picture has: n 3 s s in [0, 1]."""
    n, _, s, _ = images.shape
    cells = int(2 ** torch.randint(3, 8, ()))
    noise = F.interpolate(
        torch.randn(n, 3, min(cells, s), min(cells, s)), (s, s), mode="bilinear", align_corners=False
    )
    strength = 0.12 * torch.rand(n, 1, 1, 1) * (torch.rand(n, 1, 1, 1) < 0.4)
    return (images + strength * noise).clamp(0, 1)
