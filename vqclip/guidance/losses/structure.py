"""Structure: a larger weight keeps the edges of the image that the user gave: the init, or the source's frame."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from vqclip.config.rules import schedule, within
from vqclip.guidance.interfaces import LossTerm, Measure, Scene

if TYPE_CHECKING:
    from torch import Tensor

    from vqclip.guidance.latent import Latent


@dataclass(frozen=True, kw_only=True)
class Structure(LossTerm):
    """The mean squared difference of the two images' edges, each divided by the mean of the given image's.

    An edge's strength is the length of the brightness's gradient after a blur over `blur` x `blur` pixels.
    """

    keeps_given: ClassVar[bool] = True

    weight: str = schedule(minimum=0, default="1")
    blur: int = within(1, 99, default=3)

    def prepare(self, scene: Scene) -> Measure:
        from vqclip.guidance.ops import cover  # noqa: PLC0415  # torch

        assert scene.given is not None, "Config.check refuses it without an image"
        given = scene.given().detach()
        # The given image's, by device and size: a copy from the CPU in each step would rule out graphs.
        edges: dict[Any, Tensor] = {}

        def measure(image: "Tensor", latent: "Latent") -> "Tensor":
            known = image.device, image.shape[2:]
            if known not in edges:
                edges[known] = self.edges(cover(given, *image.shape[2:]).to(image))
            wanted = edges[known]
            return ((self.edges(image) - wanted) / wanted.mean().clamp(min=1e-3)).square().mean()

        return measure

    def value(self, image: "Tensor", latent: "Latent", scene: Scene) -> "Tensor":
        return self.prepare(scene)(image, latent)

    def edges(self, image: "Tensor") -> "Tensor":
        """Compute the strength of edges (1 h-1 w-1) of an image (1 3 h w)."""
        import torch.nn.functional as F  # noqa: PLC0415

        blur = min(self.blur, *image.shape[2:])
        pad = (blur // 2, (blur - 1) // 2)
        padded = F.pad(image.mean(1, keepdim=True), (*pad, *pad), mode="replicate")
        smooth = F.avg_pool2d(padded, blur, stride=1)[:, 0]
        down = smooth[:, 1:, :-1] - smooth[:, :-1, :-1]
        right = smooth[:, :-1, 1:] - smooth[:, :-1, :-1]
        return (down.square() + right.square() + 1e-8).sqrt()
