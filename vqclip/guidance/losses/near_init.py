"""Distance of the pixels from the init image: a larger weight keeps more of it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.base.errors import ConfigError
from vqclip.config.rules import among, schedule
from vqclip.guidance.interfaces import LossTerm, Scene

if TYPE_CHECKING:
    from torch import Tensor

    from vqclip.guidance.latent import Latent


@dataclass(frozen=True, kw_only=True)
class NearInit(LossTerm):
    """The mean squared (l2) or absolute (l1) distance of pixels from the init image."""

    weight: str = schedule(minimum=0, default="1")
    norm: str = among("l2", "l1", default="l2")

    def files(self, init: str | None) -> tuple[str, ...]:
        if init is None:
            raise ConfigError("losses.near_init: there is no init image to be near to; add --init IMAGE")
        return (init,)

    def value(self, image: "Tensor", latent: "Latent", scene: Scene) -> "Tensor":
        assert scene.init
        off = image - scene.references[scene.init].pixels[image.shape[2], image.shape[3]]
        return (off.square() if self.norm == "l2" else off.abs()).mean()
