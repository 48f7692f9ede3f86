"""The Objective: what stays the same from step to step, and what a step draws by chance before it begins."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from vqclip.base import seeds
from vqclip.base.device import strengths
from vqclip.config.schedule import Schedule
from vqclip.config.schema import PlateauConfig
from vqclip.config.timeline import Frame
from vqclip.guidance.cutout_draws import CropDraw
from vqclip.guidance.cutouts import Cutouts
from vqclip.guidance.interfaces import Drawer
from vqclip.guidance.loss import Penalty, Target
from vqclip.guidance.memory import MemoryBudget
from vqclip.guidance.state import State
from vqclip.guidance.step_graph import StepGraphs


class Embeds(Protocol):
    """What the loop needs of a Perceptor."""

    size: int

    def embed_crops(self, pixels: Tensor, /) -> Tensor: ...


@dataclass(frozen=True)
class PerceptorLoss:
    """One perceptor with its say: what it wishes for, how much it weighs, how many crops it sees."""

    name: str
    perceptor: Embeds
    targets: Sequence[Target]
    weight: float
    crops: int


@dataclass(frozen=True)
class Objective:
    """Everything that stays the same from step to step, and from picture to picture of those painted together.

    `graphs` runs the steps where a device can replay them; a CPU has none.
    """

    drawer: Drawer
    cutouts: Cutouts
    perceptor_losses: Sequence[PerceptorLoss]
    penalties: Sequence[Penalty]
    learning_rate: Schedule
    ema_decay: float
    plateau: PlateauConfig
    budget: MemoryBudget = field(default_factory=MemoryBudget)
    graphs: StepGraphs | None = None
    learning_rate_unit: str = "codebook"  # as in the config
    restart: int = 0  # steps after which the optimiser's moments are forgotten; 0: never

    @property
    def stride(self) -> float:
        """One unit of the learning rate, in the latent's own numbers."""
        return self.drawer.unit if self.learning_rate_unit == "codebook" else 1.0

    @property
    def gradient_scale(self) -> float:
        """By what gradients are multiplied on their way through the networks: in fp16 small ones would become 0."""
        return 2.0**10 if self.drawer.dtype == torch.float16 else 1.0

    def is_fixed(self, device: torch.device) -> bool:
        """Whether a step's shapes mustn't depend on chance, nor its numbers be read: where graphs replay it, too."""
        return strengths(device).fixed_shapes or self.graphs is not None


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


def draw_step(frame: Frame, objective: Objective, states: Sequence[State]) -> StepDraw:
    """What the states' next step draws, each by its own seed, on the CPU."""
    i, drawer, latent = states[0].step, objective.drawer, states[0].latent
    fixed = objective.is_fixed(latent.z.device)
    kind = torch.float32 if fixed else torch.float64  # optimisers on a CPU take rates as Python has them

    def chances(purpose: str) -> list[int]:
        return [seeds.derive(state.seed, purpose, frame.index, i) for state in states]

    shifts = drawer.shifts(latent.shape, chances("shift"))
    if not fixed and shifts is not None and not shifts.any():
        shifts = None  # the latent passes as it is, in its own memory layout
    height, width = drawer.drawn_size(latent.shape)
    return StepDraw(
        rate=torch.tensor(objective.learning_rate.at(i, frame.steps) * objective.stride, dtype=kind),
        weights=torch.tensor([p.weight.at(i, frame.steps) for p in objective.penalties], dtype=kind),
        shifts=shifts,
        crops=[
            [
                objective.cutouts.draw(height, width, view.perceptor.size, chance, view.crops, fixed)
                for chance in chances(f"crops {k}")
            ]
            for k, view in enumerate(objective.perceptor_losses)
        ],
    )
