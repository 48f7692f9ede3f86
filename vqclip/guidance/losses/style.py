"""Style: a larger weight gives the image the textures and colours of another one, seen by a VGG network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vqclip.base.paths import expand
from vqclip.config.rules import among, schedule, within
from vqclip.guidance.interfaces import LossTerm, Measure, Scene

if TYPE_CHECKING:
    from torch import Tensor

    from vqclip.guidance.latent import Latent

Compare = Callable[
    ["Tensor"], "Tensor"
]  # an image's features (d p) at p places, to their distance () from the style's

DIRECTIONS = 32  # of the sliced distance
SEED = 0  # of these directions: the same in each step, so that the loss is one function


@dataclass(frozen=True, kw_only=True)
class Style(LossTerm):
    """The distance of the two images' features, averaged over the network's blocks.

    `gram` compares the features' products with each other, averaged over places (Gatys, Ecker and Bethge, 2015, arXiv
    1508.06576). `sliced` is the squared 2-Wasserstein distance of the features' distributions, averaged over random
    directions (Heitz et al., 2021, arXiv 2006.07229). Both are divided by the style's own size.
    """

    weight: str = schedule(minimum=0, default="1")
    image: str
    network: str
    distance: str = among("gram", "sliced", default="gram")
    blocks: int = within(1, 100, default=4)

    def images(self) -> tuple[str, ...]:
        return (self.image,)

    def prepare(self, scene: Scene) -> Measure:
        from vqclip.media.image import load_image  # noqa: PLC0415
        from vqclip.models.vgg import load_vgg  # noqa: PLC0415

        network = scene.models.read(scene.base / expand(self.network), load_vgg)
        style = load_image(scene.base / self.image)
        wanted: dict[Any, list[Compare]] = {}

        def measure(image: "Tensor", latent: "Latent") -> "Tensor":
            known = image.device, image.shape[2:]
            if known not in wanted:
                features = network.features(_fitted(style, image))[: self.blocks]
                wanted[known] = [_DISTANCES[self.distance](x.detach()[0].flatten(1)) for x in features]
            blocks = network.features(image)[: self.blocks]
            distances = [compare(x[0].flatten(1)) for compare, x in zip(wanted[known], blocks, strict=True)]
            return sum(distances[1:], distances[0]) / len(distances)

        return measure

    def value(self, image: "Tensor", latent: "Latent", scene: Scene) -> "Tensor":
        return self.prepare(scene)(image, latent)


def _fitted(style: "Tensor", image: "Tensor") -> "Tensor":
    """Scale the style so that its brush strokes are as large as they are in an image of this size."""
    from vqclip.guidance.ops import cover  # noqa: PLC0415  # torch

    return cover(style, *image.shape[2:]).to(image).clamp(0, 1)


def gram(style: "Tensor") -> Compare:
    """Give a function that compares the Gram matrices of features (d p) with those of the style's, by squares."""
    wanted = style @ style.T / style.shape[1]
    size = wanted.square().sum().clamp(min=1e-12)
    return lambda x: (x @ x.T / x.shape[1] - wanted).square().sum() / size


def sliced(style: "Tensor") -> Compare:
    """Give a function that compares the distribution of features (d p) with the style's, along random directions."""
    import torch  # noqa: PLC0415

    drawn = torch.randn(DIRECTIONS, len(style), generator=torch.Generator().manual_seed(SEED))
    directions = (drawn / drawn.norm(dim=1, keepdim=True)).to(style.device)
    wanted = (directions @ style).sort(1).values
    spread = (wanted - wanted.mean(1, keepdim=True)).square().mean().clamp(min=1e-12)
    return lambda x: ((directions @ x).sort(1).values - wanted).square().mean() / spread


_DISTANCES: dict[str, Callable[["Tensor"], Compare]] = {"gram": gram, "sliced": sliced}
