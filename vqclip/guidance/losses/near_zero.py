"""Mean square of the latent's own numbers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.config.rules import schedule
from vqclip.guidance.interfaces import LossTerm, Scene

if TYPE_CHECKING:
    from torch import Tensor

    from vqclip.guidance.latent import Latent


@dataclass(frozen=True, kw_only=True)
class NearZero(LossTerm):
    """The mean square of the latent, in its own unit, as the first notebooks pulled it to zero."""

    weight: str = schedule(minimum=0, default="0")

    def value(self, image: "Tensor", latent: "Latent", scene: Scene) -> "Tensor":
        return latent.z.square().mean()
