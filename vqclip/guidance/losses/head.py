"""Head: a linear head on a CLIP's embedding, such as an aesthetic score, says what is better."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.base.errors import ConfigError
from vqclip.config.rules import schedule
from vqclip.guidance.interfaces import CropLossTerm, CropMeasure, Perceptor, Scene
from vqclip.weights.requirement import USER_FILE, Requirement

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Head(CropLossTerm):
    """Minus the score that a head gives each crop, or, with `target`, the square of its distance from the score.

    `file` holds one linear layer (`weight`, `bias`) or several that follow each other without an activation
    (`layers.0.weight`, …), as the public aesthetic predictors do. `perceptor` names the CLIP that it was trained on.
    """

    weight: str = schedule(default="0.1")
    file: str
    target: float | None = None
    perceptor: str | None = None

    def requirements(self) -> tuple[Requirement, ...]:
        return (Requirement("head", self.file, USER_FILE),)

    def prepare(self, perceptor: Perceptor, scene: Scene) -> CropMeasure | None:
        if self.perceptor not in (None, perceptor.name):
            return None
        from vqclip.models.heads import load_head  # noqa: PLC0415  # torch

        weight, bias = scene.models.read(self.file, scene.base, load_head)
        weight, bias = weight.to(perceptor.device), bias.to(perceptor.device)

        def measure(crops: "Tensor", embeddings: "Tensor") -> "Tensor":
            if embeddings.shape[-1] != len(weight):
                raise ConfigError(
                    f"losses.head: {self.file} takes {len(weight)} numbers, and {perceptor.name} gives "
                    f"{embeddings.shape[-1]}; name its CLIP, as in losses.head.perceptor=NAME"
                )
            score = embeddings @ weight + bias
            return -score if self.target is None else (score - self.target).square()

        return measure
