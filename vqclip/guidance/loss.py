"""What is made small: the distance of an image from each prompt, and penalties."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from vqclip.config.prompt import Prompt
from vqclip.config.schedule import Schedule
from vqclip.guidance import ops
from vqclip.guidance.interfaces import LossTerm, Scene
from vqclip.guidance.latent import Latent


@dataclass(frozen=True)
class Target:
    """A Prompt as one Perceptor embeds it: m unit vectors (m d)."""

    prompt: Prompt
    embeddings: Tensor

    def loss(self, crops: Tensor) -> Tensor:
        """The weighted distance of a picture's crops (n d), averaged over all n m pairs; of pictures (k n d) -> (k).

        A negative weight turns the sign of the distance. Where the signed distance is below the prompt's stop,
        its value counts but its gradient doesn't.
        """
        weight, stop = self.prompt.weight, self.prompt.stop
        distance = ops.spherical_distance(crops[..., None, :], self.embeddings) * (1 if weight >= 0 else -1)
        return abs(weight) * ops.straight_through(distance, distance.clamp(min=stop)).mean((-2, -1))


@dataclass(frozen=True)
class Penalty:
    """A named loss of picture and latent with a weight that follows a schedule."""

    name: str
    weight: Schedule
    measure: Callable[[Tensor, Latent], Tensor]


def penalties(terms: Mapping[str, LossTerm], scene: Scene) -> list[Penalty]:
    """The terms that ever weigh anything, in their order."""
    weights = {name: Schedule.parse(term.weight) for name, term in terms.items()}
    return [
        Penalty(name, weights[name], partial(term.value, scene=scene))
        for name, term in terms.items()
        if not weights[name].is_zero
    ]


def total(losses: Mapping[str, Tensor]) -> Tensor:
    """The plain sum, as peers do: a prompt's weight means the same however many there are."""
    return torch.stack(list(losses.values())).sum()
