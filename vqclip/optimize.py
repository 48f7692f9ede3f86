"""The loop: nudge latents until their pictures please every perceptor."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from vqclip import seeds
from vqclip.canvas import Canvas
from vqclip.cutouts import Cutouts
from vqclip.economy import Economy, batches
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
    """Everything that stays the same from step to step, and from picture to picture of those painted together."""

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

    seed: int  # whose picture it is
    frame: int
    index: int  # 1 is the first
    steps: int
    losses: dict[str, Tensor]
    picture: Tensor  # (1 3 h w) in [0, 1]: what was looked at

    @property
    def loss(self) -> Tensor:
        return total(self.losses)


def optimize(frame: Frame, studio: Studio, states: Sequence[State]) -> Iterator[list[Step]]:
    """Paint a frame of several pictures from the step where all of them stand, a step of each at a time.

    After each list of Steps that is yielded, the states stand behind it. A picture that has settled is left alone.
    """
    for stage in frame.stages:
        if states[0].step >= stage.end:
            continue
        cells = studio.canvas.cells(stage.scale)
        for state in states:
            if state.latent.cells != cells:
                state.resize(*cells)
        while states[0].step < stage.end:
            states = [state for state in states if not _has_settled(studio.plateau, state)]
            if not states:
                return
            yield take_step(frame, studio, states)


def take_step(frame: Frame, studio: Studio, states: Sequence[State]) -> list[Step]:
    """Look, compare, nudge."""
    economy, crops = studio.economy, max((view.crops for view in studio.views), default=1)

    def look_at_all() -> list[tuple[Tensor, dict[str, Tensor]]]:
        return [seen for few in batches(states, economy.together) for seen in compare(frame, studio, few)]

    seen = economy.run(look_at_all, crops, len(states))
    return [nudge(frame, studio, state, *each) for state, each in zip(states, seen, strict=True)]


def nudge(frame: Frame, studio: Studio, state: State, picture: Tensor, losses: dict[str, Tensor]) -> Step:
    """Move a latent down the gradient that `compare` left there."""
    i = state.step
    for group in state.optimizer.param_groups:
        group["lr"] = studio.rate.at(i, frame.steps) * studio.canvas.deviation
    state.optimizer.step()
    state.optimizer.zero_grad()
    state.latent.settle(studio.canvas.low, studio.canvas.high, studio.average)
    state.step += 1
    step = Step(state.seed, frame.index, state.step, frame.steps, losses, picture)
    if studio.plateau.patience:
        state.plateau.watch(float(step.loss), i == 0, studio.plateau.improvement)
    return step


def compare(frame: Frame, studio: Studio, states: Sequence[State]) -> list[tuple[Tensor, dict[str, Tensor]]]:
    """Each picture and its losses by name; their gradients go to the latents, and nothing else of a state changes.

    All pass the networks as one batch; each is looked at by its own chance.
    """
    i, canvas = states[0].step, studio.canvas
    for state in states:
        state.latent.z.grad = None

    def chances(purpose: str) -> list[int]:
        return [seeds.derive(state.seed, purpose, frame.index, i) for state in states]

    shifts = [canvas.shift(states[0].latent.cells, chance) for chance in chances("shift")]
    latents = torch.cat([state.latent.z for state in states])
    pictures = torch.split(canvas.draw(latents, shifts, studio.economy.recompute), 1)
    # The pictures are a leaf to those who look at them. Each adds its gradient there, and the decoder is passed once,
    # at the end: memory is that of the largest part, not of the sum, and the gradient is the same.
    leaf = torch.cat(pictures).detach().requires_grad_()
    losses: dict[str, Tensor] = {}  # one of each picture (k)
    for k, view in enumerate(studio.views):
        losses |= look(leaf, view, studio, chances(f"crops {k}"))
    for penalty in studio.penalties:
        pairs = zip(pictures, states, strict=True)
        measured = [penalty.measure(picture, state.latent) for picture, state in pairs]
        losses[penalty.name] = penalty.weight.at(i, frame.steps) * torch.stack(measured)
    own = [losses[penalty.name] for penalty in studio.penalties]
    assert leaf.grad is not None
    torch.autograd.backward([*pictures, *own], [*torch.split(leaf.grad, 1), *map(torch.ones_like, own)])
    return [
        (picture, {name: loss.detach()[k] for name, loss in losses.items()})
        for k, picture in enumerate(torch.split(leaf.detach(), 1))
    ]


def look(leaf: Tensor, view: View, studio: Studio, chances: Sequence[int]) -> dict[str, Tensor]:
    """What a perceptor thinks of pictures (k 3 h w), by prompt (k); its gradient is added to theirs, chunk by chunk."""
    pairs = zip(torch.split(leaf, 1), chances, strict=True)
    cut, side = studio.cutouts.of, view.perceptor.size
    crops = torch.stack([cut(picture, side, chance, view.crops).pixels for picture, chance in pairs])
    pixels = crops.detach().requires_grad_()  # k n 3 s s
    sums = [torch.zeros(len(leaf), device=leaf.device) for _ in view.targets]
    for chunk in torch.split(pixels, studio.economy.at_once(view.crops, len(leaf)), 1):
        embeddings = torch.unflatten(view.perceptor.embed_crops(chunk.flatten(0, 1)), 0, chunk.shape[:2])
        share = view.weight * chunk.shape[1] / pixels.shape[1]
        losses = [share * target.loss(embeddings) for target in view.targets]
        torch.autograd.backward(losses, [*map(torch.ones_like, losses)])
        sums = [a + loss.detach() for a, loss in zip(sums, losses, strict=True)]
    torch.autograd.backward(crops, pixels.grad)
    named: dict[str, Tensor] = {}
    for target, loss in zip(view.targets, sums, strict=True):
        name = f"{view.name}: {target.prompt.label}"
        named[name] = named.get(name, 0) + loss  # a wish may be uttered twice
    return named


def _has_settled(plateau: PlateauConfig, state: State) -> bool:
    return 0 < plateau.patience <= state.plateau.since
