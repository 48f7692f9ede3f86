"""Distance of the latent from where it began, and from a source video's frame."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.config.rules import schedule
from vqclip.guidance.interfaces import LossTerm, Scene

if TYPE_CHECKING:
    from torch import Tensor

    from vqclip.guidance.latent import Latent


@dataclass(frozen=True, kw_only=True)
class NearStart(LossTerm):
    """The mean squared distance of the latent from its start, in the square of its unit."""

    weight: str = schedule(minimum=0, default="0")

    def value(self, image: "Tensor", latent: "Latent", scene: Scene) -> "Tensor":
        return ((latent.z - latent.start) / scene.unit).square().mean()


@dataclass(frozen=True, kw_only=True)
class NearSource(LossTerm):
    """The same distance from the source's latent; `source.pull` is its weight, so it has no key among the losses."""

    weight: str = schedule(minimum=0, default="0")

    def value(self, image: "Tensor", latent: "Latent", scene: Scene) -> "Tensor":
        assert scene.source is not None
        assert scene.resize is not None
        source = scene.resize(scene.source, *latent.shape)
        return ((latent.z - source) / scene.unit).square().mean()
