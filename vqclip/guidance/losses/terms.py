"""What is made small: the distance of the picture from each wish, and penalties that are no wishes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from vqclip.config.prompt import Prompt
from vqclip.config.schedule import Schedule
from vqclip.guidance import ops
from vqclip.guidance.latent import Latent, enlarge


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


def penalties(
    weights: Mapping[str, Schedule], codebook_std: float, source: Tensor | None = None
) -> list[Penalty]:
    """The penalties that ever weigh anything; `codebook_std` is the codebook's, the natural unit of a latent.

    `source` (1 d y x) is the latent that `near_source` pulls to.
    """
    measures: dict[str, Callable[[Tensor, Latent], Tensor]] = {
        "tv": lambda image, _: ops.total_variation(image),
        "near_start": lambda _, latent: ((latent.z - latent.start) / codebook_std).square().mean(),
        "saturation": lambda image, _: -ops.saturation(image),
        "near_zero": lambda _, latent: latent.z.square().mean(),
    }
    if source is not None:
        measures["near_source"] = lambda _, latent: (
            ((latent.z - enlarge(source, *latent.shape)) / codebook_std).square().mean()
        )
    return [
        Penalty(name, weights[name], measure)
        for name, measure in measures.items()
        if name in weights and not weights[name].is_zero
    ]


def total(losses: Mapping[str, Tensor]) -> Tensor:
    """The plain sum, as peers do: a prompt's weight means the same however many there are."""
    return torch.stack(list(losses.values())).sum()
