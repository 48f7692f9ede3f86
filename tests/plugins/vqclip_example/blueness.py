"""A loss of crops: a linear head on the embeddings of the perceptor `colours`, which says how blue a crop is."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.config.rules import schedule
from vqclip.guidance.interfaces import CropLossTerm, CropMeasure, Perceptor, Scene

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Blueness(CropLossTerm):
    """Red minus blue, as mean over a crop's quarters."""

    weight: str = schedule(default="1")

    def prepare(self, perceptor: Perceptor, scene: Scene) -> CropMeasure | None:
        if perceptor.name != "colours":
            return None
        import torch  # noqa: PLC0415

        head = torch.tensor([1 / 4] * 4 + [0] * 4 + [-1 / 4] * 4 + [0], device=perceptor.device)

        def measure(crops: "Tensor", embeddings: "Tensor") -> "Tensor":
            return embeddings @ head

        return measure
