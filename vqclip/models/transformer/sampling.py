"""Sample codes one after the other from a transformer, or complete an image of which some are known.

Letters in shapes: n images, v tokens, y x cells of the grid.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from vqclip.models.transformer.network import CodeTransformer


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How a code is drawn from scores."""

    temperature: float = 1.0  # scores are divided by it; 0 takes the code of the highest score
    top_k: int = 0  # only so many codes of the highest scores are drawn; 0 is all
    top_p: float = 1.0  # only the likeliest codes that have this probability together are drawn
    # 1 takes the scores as they are; larger numbers lead away from those without the condition.
    guidance: float = 1.0


@dataclass(frozen=True)
class Conditions:
    """The conditions of n images, tokens (n t) or embeddings (n e), and for guidance those that say nothing."""

    given: Tensor
    empty: Tensor | None = None

    def joined(self, guidance: float) -> Tensor:
        """The conditions that a network reads: with guidance the empty ones first."""
        if guidance == 1 or self.empty is None:
            return self.given
        return torch.cat([self.empty, self.given])


@torch.no_grad()
def complete(
    network: CodeTransformer, conditions: Conditions, codes: Tensor, known: Tensor, sampling: Sampling,
    generators: list[Generator], allowed: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Sample the codes (n y x) of images that aren't `known` (y x, on the CPU); the known ones stay.

    A cell is sampled in the network's order, from the known and the sampled ones before it. `generators` are one an
    image, on the CPU. `allowed` are the codes (k) that may be sampled.
    """
    order, count = network.order.to(codes.device), network.architecture.codes
    chosen = codes.flatten(1)[:, order]
    unknown = (~known.flatten()[network.order.cpu()]).nonzero()[:, 0].tolist()
    if not unknown:
        return codes
    draws = torch.stack([torch.rand(len(unknown), generator=generator) for generator in generators], 1)
    draws = draws.to(codes.device)
    given = conditions.joined(sampling.guidance)
    twice = len(given) // len(codes)
    scores, cache = network.begin(given)
    read = 0
    for draw, cell in zip(draws, unknown, strict=True):
        if cell > read:
            scores = network(chosen[:, read:cell].repeat(twice, 1), cache)
            read = cell
        guided = guide(scores[:, :count].float(), sampling.guidance, twice)
        kept = guided if allowed is None else guided[:, allowed]
        code = choose(kept, draw, sampling)
        chosen[:, cell] = code if allowed is None else allowed[code]
    return chosen[:, order.argsort()].view_as(codes)


def guide(scores: Tensor, guidance: float, twice: int) -> Tensor:
    """Lead scores (2n v), of which the first half is without condition, away from these -> (n v).

    u (1 - s) + c s, as min-dalle has it: classifier-free guidance (Ho and Salimans, 2022, arXiv 2207.12598).
    """
    if twice == 1:
        return scores
    empty, given = scores.chunk(2)
    return empty * (1 - guidance) + given * guidance


def choose(scores: Tensor, draws: Tensor, sampling: Sampling) -> Tensor:
    """Choose a token (n) by its score (n v): the first whose cumulated probability exceeds a number (n) in [0, 1)."""
    if sampling.temperature == 0:
        return scores.argmax(-1)
    scores = scores / sampling.temperature
    if 0 < sampling.top_k < scores.shape[-1]:
        least = scores.topk(sampling.top_k).values[:, -1:]
        scores = scores.masked_fill(scores < least, float("-inf"))
    probabilities = scores.softmax(-1)
    if sampling.top_p < 1:
        probabilities = nucleus(probabilities, sampling.top_p)
    cumulated = running_sum(probabilities)
    exceeding = (cumulated > draws[:, None] * cumulated[:, -1:]) & (probabilities > 0)
    return torch.where(exceeding.any(-1), exceeding.float().argmax(-1), probabilities.argmax(-1))


def nucleus(probabilities: Tensor, share: float) -> Tensor:
    """Keep the likeliest tokens (n v) that have a share together (Holtzman et al., 2020, arXiv 1904.09751)."""
    falling = probabilities.sort(-1, descending=True).values
    before = running_sum(falling) - falling
    least = falling.masked_fill(before >= share, 2.0).amin(-1, keepdim=True)
    return probabilities.masked_fill(probabilities < least, 0.0)


def running_sum(x: Tensor) -> Tensor:
    """Sum each row (n v) up to each of its numbers.

    Pairs at doubled distances are added (Hillis and Steele, 1986): torch's own sum has no fixed order on a GPU.
    """
    distance = 1
    while distance < x.shape[-1]:
        x = torch.cat([x[:, :distance], x[:, distance:] + x[:, :-distance]], -1)
        distance *= 2
    return x


def spawn(generator: Generator, count: int) -> list[Generator]:
    """Make a generator for each of several images, so that an image is the same however many there are."""
    seeds = torch.randint(2**62, (count,), generator=generator).tolist()
    return [Generator().manual_seed(seed) for seed in seeds]


def windows(size: tuple[int, int], grid: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Top and left of the windows of a grid's size, row by row, that cover a larger size and overlap by half."""
    tops, lefts = (
        [*range(0, whole - side, max(1, side // 2)), whole - side]
        for whole, side in zip(size, grid, strict=True)
    )
    return ((top, left) for top in tops for left in lefts)


def sample_windows(
    network: CodeTransformer, conditions: Callable[[int, int], Conditions], codes: Tensor, known: Tensor,
    sampling: Sampling, generators: list[Generator], allowed: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Complete codes (n y x) of at least the grid's size, window by window, each from the cells of those before.

    `conditions` gives a window's, by its top and left. taming moves such a window by one cell; here it is by half of
    its side, so that the cache holds for all that is sampled in it.
    """
    a = network.architecture
    codes, known = codes.clone(), known.clone()
    for top, left in windows((codes.shape[1], codes.shape[2]), (a.rows, a.columns)):
        area = (slice(top, top + a.rows), slice(left, left + a.columns))
        codes[:, area[0], area[1]] = complete(
            network,
            conditions(top, left),
            codes[:, area[0], area[1]],
            known[area],
            sampling,
            generators,
            allowed,
        )
        known[area] = True
    return codes
