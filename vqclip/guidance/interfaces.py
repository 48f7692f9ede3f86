"""What may be added to vqclip, each in a file of its own; other packages add theirs by entry points.

This imports no torch, and neither does a module that has such a dataclass at its top level: a config is read without.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.config.schema import LossConfig

if TYPE_CHECKING:
    from torch import Tensor

    from vqclip.guidance.latent import Latent


@dataclass(frozen=True)
class Scene:
    """What a term may ask about a frame: the latent's unit, and the latent (1 d y x) of the source's frame, if any."""

    unit: float = 1.0
    source: "Tensor | None" = None


@dataclass(frozen=True, kw_only=True)
class LossTerm(LossConfig, ABC):
    """A term of the loss beside the prompts; its fields are its keys in a config, under `losses`."""

    @abstractmethod
    def value(self, image: "Tensor", latent: "Latent", scene: Scene) -> "Tensor":
        """Measure an image (1 3 h w) in [0, 1] and its latent: a number () that is to become small, unweighted."""
