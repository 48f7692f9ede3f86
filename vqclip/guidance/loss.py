"""Define the losses that are minimised: the distance of an image from each prompt, and penalties."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vqclip.config.prompt import Prompt
from vqclip.config.schedule import Schedule
from vqclip.config.schema import LossConfig, in_use
from vqclip.guidance import ops
from vqclip.guidance.interfaces import CropLossTerm, CropMeasure, LossTerm, Perceptor, Scene
from vqclip.guidance.latent import Latent
from vqclip.guidance.regions import RegionMask


@dataclass(frozen=True)
class Target:
    """Hold a Prompt with one Perceptor's embeddings of it, m unit vectors (m d), and the mask of its region, if any."""

    prompt: Prompt
    embeddings: Tensor
    region: RegionMask | None = None

    def loss(self, crops: Tensor, shares: Tensor | None = None, scheduled: Tensor | None = None) -> Tensor:
        """Compute the weighted distance of one image's crops (n d) or of k images' (k n d), averaged over n m pairs.

        A negative weight turns the sign of the distance. Where the signed distance is below the prompt's stop,
        its value counts but its gradient doesn't. `shares` (n) or (k n) weigh the crops, where they aren't equal.
        `scheduled` () is the weight of this step, in place of the prompt's.
        """
        weight: Any = self.prompt.weight if scheduled is None else scheduled
        sign: Any = (1 if weight >= 0 else -1) if scheduled is None else 1 - 2 * (scheduled < 0).float()
        stop, distance = self.prompt.stop, ops.spherical_distance(crops[..., None, :], self.embeddings) * sign
        stopped = ops.straight_through(distance, distance.clamp(min=stop))
        if shares is not None:
            stopped = stopped * shares[..., None]
        return abs(weight) * stopped.mean((-2, -1))


@dataclass(frozen=True)
class Penalty:
    """Hold a named loss of image and latent, with a weight that follows a schedule."""

    name: str
    weight: Schedule
    measure: Callable[[Tensor, Latent], Tensor]


@dataclass(frozen=True)
class CropPenalty:
    """Hold a named loss of one perceptor's crops, with a weight that follows a schedule."""

    name: str
    weight: Schedule
    measure: CropMeasure


def penalties(terms: Mapping[str, LossConfig], scene: Scene) -> list[Penalty]:
    """List the terms of image and latent whose weight isn't always zero, in their order."""
    return [
        Penalty(name, Schedule.parse(term.weight), term.prepare(scene))
        for name, term in in_use(terms).items()
        if isinstance(term, LossTerm)
    ]


def crop_penalties(terms: Mapping[str, LossConfig], perceptor: Perceptor, scene: Scene) -> list[CropPenalty]:
    """List the terms of a perceptor's crops whose weight isn't always zero, in their order."""
    found = (
        (n, t, t.prepare(perceptor, scene)) for n, t in in_use(terms).items() if isinstance(t, CropLossTerm)
    )
    return [
        CropPenalty(name, Schedule.parse(term.weight), measure) for name, term, measure in found if measure
    ]


def total(losses: Mapping[str, Tensor]) -> Tensor:
    """Sum losses, not average them: a prompt's weight means the same however many prompts there are."""
    return torch.stack(list(losses.values())).sum()
