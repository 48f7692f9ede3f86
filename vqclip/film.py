"""A Film is the sequence of pictures that a Config asks for; a still is a film of one Frame."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from vqclip.prompt import Prompt
from vqclip.schema import Config


@dataclass(frozen=True)
class Stage:
    """A stretch of steps on a latent of one scale: steps `begin` to `end` (exclusive)."""

    scale: float
    begin: int
    end: int


@dataclass(frozen=True)
class Frame:
    """One picture to paint."""

    index: int
    prompts: tuple[Prompt, ...]
    width: int
    height: int
    steps: int
    stages: tuple[Stage, ...]


def cells(width: int, height: int, factor: int, scale: float = 1.0) -> tuple[int, int]:
    """Rows and columns of the latent, each cell `factor` pixels wide, whose picture covers the size at this scale."""
    return math.ceil(height * scale / factor), math.ceil(width * scale / factor)


def film(config: Config) -> Iterator[Frame]:
    """The frames of a Config, in order."""
    yield Frame(0, config.wishes, config.width, config.height, config.steps, tuple(stages(config)))


def stages(config: Config) -> Iterator[Stage]:
    """Share out the steps; a stage that gets none is left out, the last one always has at least one."""
    total, done, begin = sum(stage.share for stage in config.latent.stages), 0.0, 0
    for stage in config.latent.stages:
        done += stage.share
        end = (
            config.steps
            if stage is config.latent.stages[-1]
            else min(round(config.steps * done / total), config.steps - 1)
        )
        if end > begin:
            yield Stage(stage.scale, begin, end)
        begin = end
