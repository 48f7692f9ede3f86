"""The Objective: what stays the same from step to step, and what a step draws by chance before it begins."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from vqclip import seeds
from vqclip.canvas import Canvas
from vqclip.cutout_draws import CropDraw
from vqclip.cutouts import Cutouts
from vqclip.economy import Economy
from vqclip.film import Frame
from vqclip.losses import Penalty, Target
from vqclip.schedule import Schedule
from vqclip.schema import PlateauConfig
from vqclip.state import State
from vqclip.step_graph import StepGraphs


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
    """Everything that stays the same from step to step, and from picture to picture of those painted together.

    `graphs` runs the steps where a device can replay them; a CPU has none.
    """

    canvas: Canvas
    cutouts: Cutouts
    views: Sequence[View]
    penalties: Sequence[Penalty]
    rate: Schedule  # in deviations of the codebook
    average: float
    plateau: PlateauConfig
    economy: Economy = field(default_factory=Economy)
    graphs: StepGraphs | None = None

    def is_fixed(self, device: torch.device) -> bool:
        """Whether a step's shapes mustn't depend on chance, nor its numbers be read: everywhere but on a CPU."""
        return device.type != "cpu" or self.graphs is not None


@dataclass(frozen=True)
class StepDraw:
    """What one step of k pictures draws, as tensors of one device.

    The learning rate (), the penalties' weights (p), tiles' shifts (k 2), and crops by view and picture.
    """

    rate: Tensor
    weights: Tensor
    shifts: Tensor | None
    crops: list[list[CropDraw]]

    def of(self, begin: int, end: int) -> "StepDraw":
        """That of some of the pictures."""
        shifts = None if self.shifts is None else self.shifts[begin:end]
        return replace(self, shifts=shifts, crops=[view[begin:end] for view in self.crops])


def draw_step(frame: Frame, studio: Studio, states: Sequence[State]) -> StepDraw:
    """What the states' next step draws, each by its own seed, on the CPU."""
    i, canvas, latent = states[0].step, studio.canvas, states[0].latent
    fixed = studio.is_fixed(latent.z.device)
    kind = torch.float32 if fixed else torch.float64  # optimisers on a CPU take rates as Python has them

    def chances(purpose: str) -> list[int]:
        return [seeds.derive(state.seed, purpose, frame.index, i) for state in states]

    shifts = canvas.shifts(latent.cells, chances("shift"))
    if not fixed and shifts is not None and not shifts.any():
        shifts = None  # the latent passes as it is, in its own memory layout
    height, width = canvas.drawn_size(latent.cells)
    return StepDraw(
        rate=torch.tensor(studio.rate.at(i, frame.steps) * canvas.deviation, dtype=kind),
        weights=torch.tensor([p.weight.at(i, frame.steps) for p in studio.penalties], dtype=kind),
        shifts=shifts,
        crops=[
            [
                studio.cutouts.draw(height, width, view.perceptor.size, chance, view.crops, fixed)
                for chance in chances(f"crops {k}")
            ]
            for k, view in enumerate(studio.views)
        ],
    )
