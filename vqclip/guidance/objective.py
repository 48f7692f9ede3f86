"""Define the Objective, which is the same in every step, and draw the random numbers of one step."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from vqclip.base import seeds
from vqclip.base.device import strengths
from vqclip.config.schedule import Moment, Schedule
from vqclip.config.schema import PlateauConfig
from vqclip.config.timeline import Frame
from vqclip.guidance.cutout_draws import CropDraw
from vqclip.guidance.cutouts import Cutouts
from vqclip.guidance.interfaces import Drawer
from vqclip.guidance.loss import CropPenalty, Penalty, Target
from vqclip.guidance.memory import MemoryBudget
from vqclip.guidance.overlay import Overlay
from vqclip.guidance.state import State
from vqclip.guidance.step_graph import StepGraphs


class Embeds(Protocol):
    """Embed crops: the part of a Perceptor that the loop uses."""

    size: int

    def embed_crops(self, pixels: Tensor, /) -> Tensor: ...


@dataclass(frozen=True)
class PerceptorLoss:
    """Hold one perceptor with its targets (the prompts' embeddings), weight, number of crops, and their penalties."""

    name: str
    perceptor: Embeds
    targets: Sequence[Target]
    weight: float
    crops: int
    penalties: Sequence[CropPenalty] = ()


@dataclass(frozen=True)
class Objective:
    """Hold everything that is the same for all steps of a frame, and for all images of a batch.

    `graphs` replays steps on a device that can do so; on a CPU it is None.
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
    restart: int = 0  # steps after which the optimiser's moments are reset; 0: never
    drops: Sequence[Moment] = ()  # when the rate is multiplied by `drop_factor`, besides at a plateau
    drop_factor: float = 0.1
    overlay: Overlay | None = None
    dtype: torch.dtype = torch.float32  # of the networks' arithmetic

    @property
    def stride(self) -> float:
        """Give the size of one unit of the learning rate in the latent's numbers."""
        return self.drawer.unit if self.learning_rate_unit == "codebook" else 1.0

    @property
    def gradient_scale(self) -> float:
        """Give the factor that scales losses before the backward pass, as fp16 turns small gradients into 0."""
        return 2.0**10 if self.dtype == torch.float16 else 1.0

    def rate_at(self, step: int, steps: int) -> float:
        """Give the learning rate, in the latent's numbers, at a step of `steps`; a plateau's drops come on top."""
        fallen = sum(moment.step(steps) <= step for moment in self.drops)
        return self.learning_rate.at(step, steps) * self.stride * self.drop_factor**fallen

    def is_fixed(self, device: torch.device) -> bool:
        """Tell whether a step must keep its shapes and read no numbers, as some devices and all graphs need it."""
        return strengths(device).fixed_shapes or self.graphs is not None


@dataclass(frozen=True)
class StepDraw:
    """Hold one step's numbers for k images, as tensors on one device.

    `rate` is the learning rate (), `weights` are the penalties' weights (p), `shifts` the rolls of tiles (k 2), `crops`
    what was drawn for the crops, by perceptor and image, and `crop_weights` the weights of each perceptor's penalties.
    `prompts` are the prompts' weights (t), by perceptor, or None where they are the same in every step. `shares` is by
    what each image's rate is multiplied after drops at a plateau (k), or None where it drops nothing.
    """

    rate: Tensor
    weights: Tensor
    shifts: Tensor | None
    crops: list[list[CropDraw]]
    crop_weights: list[Tensor]
    prompts: list[Tensor | None]
    shares: Tensor | None = None

    def of(self, begin: int, end: int) -> "StepDraw":
        """Select the images from `begin` to `end`."""
        shifts = None if self.shifts is None else self.shifts[begin:end]
        shares = None if self.shares is None else self.shares[begin:end]
        return replace(self, shifts=shifts, shares=shares, crops=[draws[begin:end] for draws in self.crops])


def draw_step(frame: Frame, objective: Objective, states: Sequence[State]) -> StepDraw:
    """Draw the numbers of the states' next step on the CPU, each state's from its own seed."""
    i, drawer, latent = states[0].step, objective.drawer, states[0].latent
    fixed = objective.is_fixed(latent.z.device)
    kind = torch.float32 if fixed else torch.float64  # on a CPU, optimisers take Python's float

    def draw_seeds(purpose: str) -> list[int]:
        return [seeds.derive(state.seed, purpose, frame.index, i) for state in states]

    def weights_of(penalties: Sequence[Penalty | CropPenalty]) -> Tensor:
        return torch.tensor([penalty.weight.at(i, frame.steps) for penalty in penalties], dtype=kind)

    shifts = drawer.shifts(latent.shape, draw_seeds("shift"))
    if not fixed and shifts is not None and not shifts.any():
        shifts = None  # nothing is rolled, and the latent keeps its memory layout
    height, width = drawer.drawn_size(latent.shape)
    return StepDraw(
        rate=torch.tensor(objective.rate_at(i, frame.steps), dtype=kind),
        weights=weights_of(objective.penalties),
        shifts=shifts,
        crops=[
            [
                objective.cutouts.draw(height, width, term.perceptor.size, seed, term.crops, fixed)
                for seed in draw_seeds(f"crops {k}")
            ]
            for k, term in enumerate(objective.perceptor_losses)
        ],
        crop_weights=[weights_of(term.penalties) for term in objective.perceptor_losses],
        prompts=[_prompt_weights(term.targets, i, frame.steps) for term in objective.perceptor_losses],
        shares=torch.tensor([objective.drop_factor**s.plateau.drops for s in states], dtype=kind)
        if objective.plateau.drops
        else None,
    )


def _prompt_weights(targets: Sequence[Target], step: int, steps: int) -> Tensor | None:
    """Compute the weights (t) of prompts at a step, if any of them changes over the steps."""
    prompts = [target.prompt for target in targets]
    if all(prompt.course is None for prompt in prompts):
        return None
    return torch.tensor([prompt.at(step, steps).weight for prompt in prompts])
