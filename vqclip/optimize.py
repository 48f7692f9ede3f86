"""The loop: nudge one latent until its picture pleases every perceptor."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from vqclip import seeds
from vqclip.canvas import Canvas
from vqclip.cutouts import Cutouts
from vqclip.economy import Economy
from vqclip.film import Frame
from vqclip.losses import Penalty, Target, total
from vqclip.schedule import Schedule
from vqclip.schema import PlateauConfig
from vqclip.state import State


class Embeds(Protocol):
    """What the loop needs of a Perceptor."""

    size: int

    def embed_crops(self, pixels: Tensor, /) -> Tensor: ...


@dataclass(frozen=True)
class View:
    """One perceptor with its say: what it wishes for, how much it weighs, how many crops it sees."""

    name: str
    perceptor: Embeds
    targets: Sequence[Target]
    weight: float
    crops: int


@dataclass(frozen=True)
class Studio:
    """Everything that stays the same from step to step."""

    seed: int
    canvas: Canvas
    cutouts: Cutouts
    views: Sequence[View]
    penalties: Sequence[Penalty]
    rate: Schedule  # in deviations of the codebook
    average: float
    plateau: PlateauConfig
    economy: Economy = field(default_factory=Economy)


@dataclass(frozen=True)
class Step:
    """One step's record. Tensors stay on their device: whoever wants a number waits for it, nobody else does."""

    frame: int
    index: int  # 1 is the first
    steps: int
    losses: dict[str, Tensor]
    picture: Tensor  # (1 3 h w) in [0, 1]: what was looked at

    @property
    def loss(self) -> Tensor:
        return total(self.losses)


def optimize(frame: Frame, studio: Studio, state: State) -> Iterator[Step]:
    """Paint a frame from where `state` stands; after each Step that is yielded, `state` stands behind it."""
    for stage in frame.stages:
        if state.step >= stage.end:
            continue
        cells = studio.canvas.cells(stage.scale)
        if state.latent.cells != cells:
            state.resize(*cells)
        while state.step < stage.end:
            if _has_settled(studio.plateau, state):
                return
            yield take_step(frame, studio, state)


def take_step(frame: Frame, studio: Studio, state: State) -> Step:
    """Look, compare, nudge."""
    latent, i = state.latent, state.step
    crops = max((view.crops for view in studio.views), default=1)
    picture, losses = studio.economy.run(lambda: compare(frame, studio, state), crops)
    for group in state.optimizer.param_groups:
        group["lr"] = studio.rate.at(i, frame.steps) * studio.canvas.deviation
    state.optimizer.step()
    state.optimizer.zero_grad()
    latent.settle(studio.canvas.low, studio.canvas.high, studio.average)
    state.step += 1
    step = Step(frame.index, state.step, frame.steps, losses, picture)
    if studio.plateau.patience:
        state.plateau.watch(float(step.loss), i == 0, studio.plateau.improvement)
    return step


def compare(frame: Frame, studio: Studio, state: State) -> tuple[Tensor, dict[str, Tensor]]:
    """The picture and its losses by name; their gradient goes to the latent, and nothing else of the state changes."""
    latent, i = state.latent, state.step
    latent.z.grad = None
    shift = studio.canvas.shift(latent.cells, seeds.derive(studio.seed, "shift", frame.index, i))
    picture = studio.canvas.draw(latent.z, shift, studio.economy.recompute)
    # The picture is a leaf to those who look at it. Each adds its gradient there, and the decoder is passed once, at
    # the end: memory is that of the largest part, not of the sum, and the gradient is the same.
    leaf = picture.detach().requires_grad_()
    losses: dict[str, Tensor] = {}
    for k, view in enumerate(studio.views):
        losses |= look(leaf, view, studio, seeds.derive(studio.seed, f"crops {k}", frame.index, i))
    for penalty in studio.penalties:
        loss = penalty.weight.at(i, frame.steps) * penalty.measure(picture, latent)
        losses[penalty.name] = loss
    own = [losses[penalty.name] for penalty in studio.penalties]
    torch.autograd.backward([picture, *own], [leaf.grad, *map(torch.ones_like, own)])
    return leaf.detach(), {name: loss.detach() for name, loss in losses.items()}


def look(leaf: Tensor, view: View, studio: Studio, seed: int) -> dict[str, Tensor]:
    """What a perceptor thinks of the picture, by prompt; its gradient is added to the picture's, chunk by chunk."""
    crops = studio.cutouts.of(leaf, view.perceptor.size, seed, view.crops).pixels
    pixels = crops.detach().requires_grad_()
    sums = [torch.zeros((), device=leaf.device) for _ in view.targets]
    for chunk in torch.split(pixels, studio.economy.chunk):
        embeddings = view.perceptor.embed_crops(chunk)
        share = view.weight * len(chunk) / len(pixels)
        losses = [share * target.loss(embeddings) for target in view.targets]
        torch.autograd.backward(losses)
        sums = [a + loss.detach() for a, loss in zip(sums, losses, strict=True)]
    torch.autograd.backward(crops, pixels.grad)
    named: dict[str, Tensor] = {}
    for target, loss in zip(view.targets, sums, strict=True):
        name = f"{view.name}: {target.prompt.label}"
        named[name] = named.get(name, 0) + loss  # a wish may be uttered twice
    return named


def _has_settled(plateau: PlateauConfig, state: State) -> bool:
    return 0 < plateau.patience <= state.plateau.since
