"""Distance from other images, in the latent or in pixels: a larger weight draws the image to them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.base.errors import ConfigError
from vqclip.config.rules import among, schedule
from vqclip.guidance.interfaces import LossTerm, Scene

if TYPE_CHECKING:
    from torch import Tensor

    from vqclip.guidance.latent import Latent


@dataclass(frozen=True, kw_only=True)
class NearImages(LossTerm):
    """The mean squared distance from image files, averaged over them: of latents in their unit, or of pixels."""

    weight: str = schedule(minimum=0, default="1")
    targets: list[str]
    space: str = among("latent", "pixels", default="latent")

    def files(self, init: str | None) -> tuple[str, ...]:
        if not self.targets:
            raise ConfigError(
                "losses.near_images.targets: there are none; write image files, as in [photo.jpg]"
            )
        return tuple(self.targets)

    def value(self, image: "Tensor", latent: "Latent", scene: Scene) -> "Tensor":
        import torch  # noqa: PLC0415

        assert scene.resize
        losses = []
        for file in self.targets:
            reference = scene.references[file]
            if self.space == "pixels" or reference.latent is None:
                off = image - reference.pixels[image.shape[2], image.shape[3]]
            else:
                off = (latent.z - scene.resize(reference.latent, *latent.shape)) / scene.unit
            losses.append(off.square().mean())
        return torch.stack(losses).mean()
