"""The training loop of the prior: a transformer over mini-vqgan's codes that reads a sentence's embedding.

Letters in shapes: n pictures, c codes of a picture, v codes of the codebook, e dimensions of an embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from training import work
from training.codes import warm_start
from training.codes.pool import Batch, CodePool, Encoder
from training.packed.file import HELD_OUT, Packed
from training.scenes.draws import SceneDraws
from vqclip.models.transformer.architecture import TransformerArchitecture
from vqclip.models.transformer.network import CodeTransformer
from vqclip.models.transformer.sampling import Conditions, Sampling, complete, spawn

LOOKS = 30.0  # seconds between two looks at the held-out losses
TRIED = 64  # held-out pictures that are scored at a time


@dataclass(frozen=True)
class Plan:
    """What decides the result beside the data."""

    minutes: float = 9.0
    side: int = 128
    layers: int = 8
    width: int = 256
    heads: int = 4
    prefix: int = 1  # tokens that the embedding becomes
    modulation: int = 96  # width of what it becomes for each layer
    batch: int = 256
    reuse: int = 4  # how often a painted scene is learned from
    pool: int = (
        16384  # scenes whose codes are kept; until it is full, the first ones are learned from more often
    )
    rate: float = 1e-3
    silent: float = 0.1  # share of pictures without their sentence, for guidance
    guidance: float = 2.0
    tried: int = 256  # held-out pictures of each kind
    calm: float = 0.8  # share of scenes of one thing in the middle of a plain ground or a place
    seed: int = 1

    def architecture(self, codes: int, factor: int, embedding: int) -> TransformerArchitecture:
        cells = self.side // factor
        return TransformerArchitecture(
            layers=self.layers,
            heads=self.heads,
            width=self.width,
            hidden=4 * self.width,
            vocabulary=codes,
            outputs=codes,
            codes=codes,
            block=cells * cells + self.prefix,
            rows=cells,
            columns=cells,
            conditioning="embedding",
            embedding=embedding,
            prefix=self.prefix,
            modulation=self.modulation,
            clip="mini-clip-2",
            guidance=self.guidance,
            vqgan="mini-vqgan",
        )


class Trainer:
    """Trains on new scenes until its time is over; a killed training goes on from its snapshot."""

    def __init__(self, plan: Plan, packed: Packed, device: torch.device, folder: Path):
        self.plan, self.packed, self.device, self.folder = plan, packed, device, folder
        self._encoder = Encoder(packed, plan.side, device)
        torch.manual_seed(plan.seed)
        embedding = packed.reader.text_projection.shape[1]
        vqgan = packed.vqgan
        network = CodeTransformer(plan.architecture(len(vqgan.codebook), vqgan.factor, embedding))
        _begin(network)
        if packed.start:
            network.load_state_dict(warm_start.fitted(packed.start, network))
        self.average = work.Average(network)
        self.average.module.to(device)
        self.network = network.to(device)
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(), plan.rate, (0.9, 0.95), weight_decay=0.02
        )
        self.step, self._spent = 0, 0.0
        self._resume()
        self._tried = {"new": self._held_out("train"), HELD_OUT: self._held_out(HELD_OUT)}

    def run(self) -> None:
        """Train; every half minute the held-out losses are logged, and every minute a snapshot is written.

        Where that takes long, the losses are logged less often: it takes a tenth of the time at most.
        """
        clock = work.Clock(self.plan.minutes, self._spent)
        looked, kept = work.Every(LOOKS), work.Every(60)
        pool, losses = self._pool(), []
        while clock.progress < 1:
            losses.append(self._one_step(pool.draw(self.plan.batch), clock.progress))
            if looked.due():
                began = clock.spent
                self._look(clock, losses)
                looked.seconds = max(LOOKS, 10 * (clock.spent - began))
            if kept.due():
                self._keep(clock)
        self._look(clock, losses)
        self._keep(clock)

    @torch.no_grad()
    def sample(self, texts: Sequence[str], count: int, seed: int = 0) -> Tensor:
        """Several pictures of each sentence: (texts * count) 3 s s in [0, 1]."""
        network, a = self.average.module, self.average.module.architecture
        given = self.packed.reader(texts).repeat_interleave(count, 0)
        generators = spawn(torch.Generator().manual_seed(seed), len(given))
        codes = torch.zeros(len(given), a.rows, a.columns, dtype=torch.long, device=self.device)
        known = torch.zeros(a.rows, a.columns, dtype=torch.bool)
        conditions = Conditions(given, torch.zeros_like(given))
        sampling = Sampling(top_k=256, guidance=a.guidance)
        made = complete(network, conditions, codes, known, sampling, generators)
        vqgan = self.packed.vqgan
        images = torch.cat([vqgan.decode(vqgan.lookup(part)) for part in torch.split(made, TRIED)])
        return ((images + 1) / 2).clamp(0, 1)

    def _one_step(self, batch: Batch, progress: float) -> float:
        work.set_rate(self._optimizer, self.plan.rate * work.falling(progress, self.step))
        said = batch.said * (torch.rand(len(batch.said), 1, device=self.device) >= self.plan.silent)
        loss = self._loss(self.network, batch.codes, said)
        self._optimizer.zero_grad()
        torch.autograd.backward(loss, torch.ones_like(loss))
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self._optimizer.step()
        self.average.update(self.network)
        self.step += 1
        return float(loss.detach())

    def _loss(self, network: CodeTransformer, codes: Tensor, said: Tensor) -> Tensor:
        """The mean of -log p of each code, in nats."""
        with torch.autocast(self.device.type, torch.bfloat16):
            scores = network.score_all(said, codes)
        return F.cross_entropy(scores.flatten(0, 1).float(), codes.flatten())

    @torch.no_grad()
    def _tell(self) -> dict[str, float]:
        """Losses of the averaged weights on held-out scenes, with the sentence, without, and with another's."""
        told = {}
        for name, batch in self._tried.items():
            for label, said in (
                ("", batch.said),
                (", silent", torch.zeros_like(batch.said)),
                (", another's", batch.said.roll(1, 0)),
            ):
                parts = zip(torch.split(batch.codes, TRIED), torch.split(said, TRIED), strict=True)
                losses = [
                    float(self._loss(self.average.module, codes, text)) * len(codes) for codes, text in parts
                ]
                told[name + label] = sum(losses) / len(batch.codes)
        return told

    def _look(self, clock: work.Clock, losses: list[float]) -> None:
        mean = sum(losses) / max(1, len(losses))
        work.log(
            self.folder / "log.jsonl",
            step=self.step,
            pictures=self.step * self.plan.batch,
            seconds=round(clock.spent),
            train=mean,
            **self._tell(),
        )
        losses.clear()

    def _pool(self) -> CodePool:
        draws = self._draws("train", [self.plan.seed, self.step])
        return CodePool(self._encoder, draws, self.plan.pool, max(1, self.plan.batch // self.plan.reuse))

    def _draws(self, split: str, seed: list[int]) -> SceneDraws:
        rows = self.packed.rows(split)
        rows = rows if len(rows) else self.packed.rows("train")
        return SceneDraws(self.packed.index, rows, self.packed.wall_index, seed, self.plan.calm)

    def _held_out(self, split: str) -> Batch:
        """Scenes that training doesn't meet: `train` has its cut-outs, in other scenes."""
        draws = self._draws(split, [self.plan.seed, 2**31])
        scenes = [draws.make() for _ in range(self.plan.tried)]
        codes = self._encoder.codes(scenes, torch.Generator().manual_seed(7))
        return Batch(codes.long(), self._encoder.said(scenes)[:, 0])

    @property
    def _snapshot(self) -> Path:
        return self.folder / "snapshot.pt"

    def _keep(self, clock: work.Clock) -> None:
        state: dict[str, Any] = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "step": self.step,
            "spent": clock.spent,
        }
        work.save_snapshot(state, self._snapshot)

    def _resume(self) -> None:
        state = work.load_snapshot(self._snapshot)
        if state is None:
            return
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step, self._spent = state["step"], state["spent"]


def _begin(network: CodeTransformer) -> None:
    """Begin with small weights, as GPT-2 does (Radford et al., 2019)."""
    for name, weight in network.named_parameters():
        if weight.dim() > 1:
            torch.nn.init.normal_(weight, std=0.02)
        elif name.endswith("bias"):
            torch.nn.init.zeros_(weight)


def tiny(plan: Plan) -> Plan:
    """A plan for trying the program out."""
    return replace(plan, side=32, layers=1, width=32, heads=2, modulation=16, batch=4, pool=32, tried=4)
