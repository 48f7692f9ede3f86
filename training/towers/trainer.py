"""The training loop of mini-clip-2's image tower: scenes are painted, attacked and learned from on one device.

Letters in shapes: n pictures 3 s s in [0, 1], k <= n of them with a sentence, f = 1280 features, e = 512 dimensions.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from training import work
from training.packed.clip import PackedClip
from training.scenes.draws import SceneDraws
from training.scenes.table_painter import Sheet, TablePainter
from training.scenes.tables import ScenePool, zoom
from training.towers.depthwise import swift
from training.towers.figures import Held
from training.towers.lite import features, folded, unfolded
from training.towers.noise import spoilt
from training.towers.painted import PaintedPool
from training.towers.robust_losses import Attack, Batch, Told, apart, attacked, margin, misnamed
from training.towers.start import Projection, Start, state_of, tower_of
from training.work import Foreign

KEPT = 40.0  # seconds between two snapshots: what a kill loses


@dataclass(frozen=True)
class Plan:
    """What decides the result beside the data."""

    minutes: float = 9.0
    batch: int = 512
    sides: tuple[int, ...] = (96, 112, 128)  # one of them a step
    rate: float = 5e-4  # it may grow as the root of the batch: for 16 pictures 1e-4 is safe, 4e-4 isn't
    projecting: float = 0.05  # the projection's rate, as a share of the tower's
    radius: float = 4.0  # of the attack, of 255
    ramp: float = 0.0  # share of the time in which the radius grows to its full size
    attack_steps: int = 1
    stride: float = 1.0  # of an attack's step, as a share of the radius
    norm: str = "linf"  # of the attack, or "l2"
    against: tuple[str, ...] = (
        "view",
    )  # one of them a step: what an attack moves away from, the clean "view" or the own "sentence"
    coarse: tuple[int, ...] = (1,)  # one of them a step: side of the squares that an attack changes alike
    painted: int = 192  # images a step that the present tower painted
    climb: int = 4  # steps of each of them whenever it is drawn: with 2 they were soon told apart
    disbelief: float = 0.3  # weight of not believing them
    keep: float = 1.0  # weight of the distance to the teacher's clean view
    embedding: float = 2.0  # weight of the embeddings' distance beside the features'
    naming: float = 0.5  # weight of the sentences
    teacher: str = "untouched"  # or "start": whose clean view is kept
    said: float = 0.65  # share of pictures with a sentence; of the others parts are shown
    others: int = 512  # sentences beside the batch's own
    pool: int = 65_536  # scenes that are kept
    reuse: int = 8  # how often a scene is painted
    decay: float = 0.998  # of the averaged weights
    steady: int = 16  # held-out pictures of each split that are attacked for the figures
    look: float = 30.0  # seconds between two lines of held-out figures
    seed: int = 1


class Model(nn.Module):
    """An image tower with folded normalisations, and its projection."""

    def __init__(self, tower: Foreign, projection: Projection):
        super().__init__()
        self.tower: Foreign = tower
        self.projection: Projection = projection


class Trainer:
    """Trains on new scenes until its time is over; a killed training goes on from its snapshot in `folder`.

    Results and log are written to `out` as it goes.
    """

    def __init__(
        self, plan: Plan, packed: PackedClip, start: Path, device: torch.device, folder: Path, out: Path
    ):
        self.plan, self.device, self.folder, self.out = plan, device, folder, out
        begun = self._start = Start.open(start, packed.words)
        untouched = folded(tower_of(packed.untouched)).requires_grad_(False)
        model = Model(folded(begun.tower), copy.deepcopy(begun.projection))
        before = untouched if plan.teacher == "untouched" else model.tower
        self._before, self._worker = (
            swift(copy.deepcopy(t).bfloat16().to(device)) for t in (before, model.tower)
        )
        self._before.requires_grad_(False)
        self._anchor = begun.projection.requires_grad_(False).to(device)
        self.average = work.Average(model, plan.decay)
        self.average.module.to(device)
        self.model = model.to(device).requires_grad_(True)
        begun.reader.to(device)
        self._held = Held(packed, begun, untouched.to(device), plan.steady)
        self._optimizer = torch.optim.AdamW(
            model.tower.parameters(), plan.rate, (0.9, 0.99), weight_decay=1e-4
        )
        self._optimizer.add_param_group(
            {"params": list(model.projection.parameters()), "share": plan.projecting}
        )
        self._losses, self._seen = torch.zeros(3, device=device), 0
        self._scale = torch.full((), min(60.0, begun.scale), device=device)
        self.step, self._spent = 0, 0.0
        self._resume()
        self._painter = TablePainter(packed.sprites, packed.walls, device)
        self._pool, self._others = self._draw_first(packed)
        self._painted = PaintedPool(plan.painted, plan.climb, self._others.vectors) if plan.painted else None

    def run(self) -> None:
        """Train; held-out figures are logged every half minute, or less often where they would take a tenth
        of the time, and snapshots are written."""
        clock, kept = work.Clock(self.plan.minutes, self._spent), work.Every(KEPT)
        looked = self._look(clock)
        while clock.progress < 1 or self.step == 0:
            self.one_step(clock.progress)
            if looked.due():
                looked = self._look(clock)
            if kept.due():
                self._keep(clock)
        self._look(clock)
        self._keep(clock)

    def one_step(self, progress: float) -> None:
        """Take one step; nothing in it waits for the device."""
        plan, random = self.plan, np.random.default_rng([self.plan.seed, self.step])
        torch.manual_seed(int(random.integers(2**31)))
        work.set_rate(self._optimizer, plan.rate * work.falling(progress, self.step))
        radius = plan.radius / 255 * min(1.0, (progress + 0.01) / max(plan.ramp, 0.01))
        self._pool.add(max(1, plan.batch // plan.reuse))
        coarse = int(random.choice(plan.coarse))
        against = str(random.choice(plan.against))
        self._descend(
            self._batch(random), against, Attack(radius, plan.attack_steps, plan.stride, coarse, plan.norm)
        )
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for parameter in self.model.parameters():  # one overflow shall not spoil all that was learned
            assert parameter.grad is not None
            parameter.grad.nan_to_num_(0.0, 0.0, 0.0)
        self._optimizer.step()
        self.average.update(self.model)
        self.step += 1

    def _descend(self, batch: Batch, against: str, attack: Attack) -> None:
        """Put the losses' gradient into the model: everything that sees pictures is bf16."""
        model, worker, plan = self.model, self._worker, self.plan
        clean, worst = self._worst(batch, against, attack)
        painted = self._painted.climb(worker, model.projection) if self._painted else None
        worker.requires_grad_(True).zero_grad()
        self._optimizer.zero_grad()
        seen = features(worker, worst)
        away = apart(seen, clean, self._anchor, plan.embedding).mean()
        embedded = model.projection.see(seen[: len(batch.shown)])
        named, believed = self._misnamed(embedded, batch), torch.zeros_like(away)
        if self._painted and painted:
            true = (embedded * batch.said.vectors).sum(1).detach()
            believed = self._painted.believed(worker, model.projection, painted, true, self._scale)
        loss = plan.keep * away + plan.naming * named + plan.disbelief * believed
        torch.autograd.backward(loss, torch.ones_like(loss))
        for ours, theirs in zip(worker.parameters(), model.tower.parameters(), strict=True):
            assert ours.grad is not None
            theirs.grad = ours.grad.float()
        self._losses += torch.stack([away, named, believed]).detach()
        self._seen += 1

    def _worst(self, batch: Batch, against: str, attack: Attack) -> tuple[Tensor, Tensor]:
        """Give the clean features of the pictures n f, and the attacked pictures; the worker is brought up to date."""
        with torch.no_grad():
            for ours, theirs in zip(self._worker.parameters(), self.model.tower.parameters(), strict=True):
                ours.copy_(theirs)
            clean = features(self._before, batch.images)
        worker = self._worker.requires_grad_(False)
        loss: Callable[[Tensor], Tensor] = partial(apart, clean=clean, head=self._anchor)
        if against == "sentence":
            loss = self._to_another_sentence(batch, loss)
        return clean, attacked(worker, batch.images, loss, attack)

    def _to_another_sentence(
        self, batch: Batch, otherwise: Callable[[Tensor], Tensor]
    ) -> Callable[[Tensor], Tensor]:
        """Make an attack's loss: the margin where a picture has a sentence, and `otherwise` for the rest."""
        named = len(batch.shown)
        drawn = torch.randint(len(self._others.claims), (named,), device=self.device)
        other = self._others.vectors[drawn]

        def loss(seen: Tensor) -> Tensor:
            nearer = margin(seen[:named], batch.said.vectors, other, self.model.projection)
            return torch.cat([nearer, otherwise(seen)[named:]])

        return loss

    def _misnamed(self, seen: Tensor, batch: Batch) -> Tensor:
        drawn = torch.randint(len(self._others.claims), (self.plan.others,), device=self.device)
        others = Told(self._others.vectors[drawn], self._others.claims[drawn])
        return misnamed(seen, batch.shown, batch.said, others, self._scale)

    @torch.no_grad()
    def _batch(self, random: np.random.Generator) -> Batch:
        """Draw, paint and spoil pictures; the first of them have sentences."""
        plan, s = self.plan, int(random.choice(self.plan.sides))
        named = max(1, round(plan.said * plan.batch))
        table = self._pool.draw(plan.batch, random)
        zoomed = table[named:]
        zoom(zoomed, random)
        sheet = self._painter.sheet(table, random.integers(2, size=len(table)), s)
        images = spoilt(self._painter.paint(sheet, s), random)
        return Batch(images, sheet.shown[:named], self._told(sheet, named))

    def _told(self, sheet: Sheet, count: int) -> Told:
        return Told(self._start.reader.read(sheet.tokens[:count]), sheet.meant[:count])

    def _draw_first(self, packed: PackedClip) -> tuple[ScenePool, Told]:
        """Fill a part of the pool, and read the sentences of some scenes that pictures are told from."""
        rows = np.array([i for i, row in enumerate(packed.index) if row["split"] == "train"])
        draws = SceneDraws(packed.index, rows, packed.wall_index, [self.plan.seed, self.step])
        reader = self._start.reader
        pool = ScenePool(draws, reader.vocabulary, reader.length, self.plan.pool)
        first = pool.add(max(8 * self.plan.others, self.plan.batch))
        sheet = self._painter.sheet(first, np.zeros(len(first), dtype=np.int64), self.plan.sides[0])
        told = [
            Told(reader.read(t), c)
            for t, c in zip(torch.split(sheet.tokens, 512), torch.split(sheet.meant, 512), strict=True)
        ]
        return pool, Told(torch.cat([t.vectors for t in told]), torch.cat([t.claims for t in told]))

    def _look(self, clock: work.Clock) -> work.Every:
        """Log the held-out figures of the averaged weights; say when the next ones are due."""
        before = clock.spent
        away, named, believed = (self._losses / max(1, self._seen)).tolist()
        self._losses.zero_()
        self._seen = 0
        work.log(
            self.out / "log.jsonl",
            step=self.step,
            pictures=self.step * self.plan.batch,
            seconds=round(clock.spent),
            apart=away,
            misnamed=named,
            believed=believed,
            **self._held.figures(self.average.module.tower, self.average.module.projection),
        )
        return work.Every(max(self.plan.look, 10 * (clock.spent - before)))

    @property
    def _snapshot(self) -> Path:
        return self.folder / "snapshot.pt"

    def _keep(self, clock: work.Clock) -> None:
        """Write a snapshot, and the image half as it is by now."""
        state: dict[str, Any] = {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self.step,
            "spent": clock.spent,
        }
        work.save_snapshot(state, self._snapshot)
        self.export()

    def export(self) -> None:
        """Write the averaged image half as open_clip names it."""
        tower = unfolded(self.average.module.tower, self._start.tower)
        work.export_tensors(state_of(tower, self.average.module.projection), self.out / "image.safetensors")

    def _resume(self) -> None:
        state = work.load_snapshot(self._snapshot)
        if state is None:
            return
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        try:
            self._optimizer.load_state_dict(state["optimizer"])
        except ValueError:
            raise SystemExit(
                f"{self._snapshot} is of an earlier version of this training; delete it"
            ) from None
        self._optimizer.param_groups[1]["share"] = self.plan.projecting
        self.step, self._spent = state["step"], state["spent"]


def tiny(plan: Plan) -> Plan:
    """A plan for trying the program out."""
    return replace(plan, batch=4, sides=(32, 48), others=8, pool=64, steady=1, painted=2)
