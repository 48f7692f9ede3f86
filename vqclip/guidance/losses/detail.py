"""Detail: a positive weight makes neighbouring pixels differ more, a negative one less."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.config.rules import schedule
from vqclip.guidance.interfaces import LossTerm, Scene

if TYPE_CHECKING:
    from torch import Tensor

    from vqclip.guidance.latent import Latent


@dataclass(frozen=True, kw_only=True)
class Detail(LossTerm):
    """Minus the root mean square of what a blur over 3 x 3 pixels takes away."""

    weight: str = schedule(default="1")

    def value(self, image: "Tensor", latent: "Latent", scene: Scene) -> "Tensor":
        import torch.nn.functional as F  # noqa: PLC0415

        blurred = F.avg_pool2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        return -(image - blurred).square().mean().add(1e-8).sqrt()
