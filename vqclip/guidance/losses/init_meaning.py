"""Distance from the init image in CLIP's space: a larger weight keeps what it shows, not where it shows it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.base.errors import ConfigError
from vqclip.config.rules import schedule
from vqclip.guidance.interfaces import LossTerm, Scene

if TYPE_CHECKING:
    from torch import Tensor

    from vqclip.guidance.latent import Latent


@dataclass(frozen=True, kw_only=True)
class InitMeaning(LossTerm):
    """The spherical distance of the whole image's embedding from that of the init image, averaged over perceptors."""

    weight: str = schedule(minimum=0, default="1")

    def files(self, init: str | None) -> tuple[str, ...]:
        if init is None:
            raise ConfigError("losses.init_meaning: there is no init image to be near to; add --init IMAGE")
        return (init,)

    def value(self, image: "Tensor", latent: "Latent", scene: Scene) -> "Tensor":
        import torch  # noqa: PLC0415

        from vqclip.guidance.ops import spherical_distance  # noqa: PLC0415  # torch

        assert scene.init
        assert scene.embed
        pairs = zip(scene.embed(image), scene.references[scene.init].embeddings, strict=True)
        return torch.stack([spherical_distance(a, b).mean() for a, b in pairs]).mean()
