"""Style: a larger weight gives the image the textures and colours of another one, seen by a VGG network."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vqclip.base.paths import expand
from vqclip.config.rules import among, schedule, within
from vqclip.guidance.interfaces import LossTerm, Measure, Scene

if TYPE_CHECKING:
    from torch import Tensor

    from vqclip.guidance.latent import Latent

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

    def prepare(self, scene: Scene) -> Measure:
        from vqclip.media.image import load_image  # noqa: PLC0415
        from vqclip.models.vgg import load_vgg  # noqa: PLC0415

        network = scene.models.read(scene.base / expand(self.network), load_vgg)
        style = load_image(scene.base / self.image)
        found: dict[Any, list[Tensor]] = {}

        def measure(image: "Tensor", latent: "Latent") -> "Tensor":
            known = image.device, image.shape[2:]
            if known not in found:
                found[known] = [x.detach() for x in network.features(_fitted(style, image))[: self.blocks]]
            pairs = zip(network.features(image)[: self.blocks], found[known], strict=True)
            distances = [(gram if self.distance == "gram" else sliced)(x, y) for x, y in pairs]
            return sum(distances[1:], distances[0]) / len(distances)

        return measure

    def value(self, image: "Tensor", latent: "Latent", scene: Scene) -> "Tensor":
        return self.prepare(scene)(image, latent)


def _fitted(style: "Tensor", image: "Tensor") -> "Tensor":
    """Scale the style so that its brush strokes are as large as they are in an image of this size."""
    from vqclip.guidance.ops import cover  # noqa: PLC0415  # torch

    return cover(style, *image.shape[2:]).to(image).clamp(0, 1)


def gram(x: "Tensor", y: "Tensor") -> "Tensor":
    """Compare the Gram matrices of features (1 d y x): their squared difference over the second's square."""
    matrices = []
    for features in (x, y):
        places = features[0].flatten(1)
        matrices.append(places @ places.T / places.shape[1])
    return (matrices[0] - matrices[1]).square().sum() / matrices[1].square().sum().clamp(min=1e-12)


def sliced(x: "Tensor", y: "Tensor") -> "Tensor":
    """Compare the distributions of features (1 d y x) of equal shape along random directions."""
    import torch  # noqa: PLC0415

    generator = torch.Generator(x.device).manual_seed(SEED)
    directions = torch.randn(DIRECTIONS, x.shape[1], generator=generator, device=x.device)
    directions = directions / directions.norm(dim=1, keepdim=True)
    ours, theirs = ((directions @ features[0].flatten(1)).sort(1).values for features in (x, y))
    spread = (theirs - theirs.mean(1, keepdim=True)).square().mean()
    return (ours - theirs).square().mean() / spread.clamp(min=1e-12)
