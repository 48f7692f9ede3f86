"""Style: a larger weight gives the image the textures and colours of another one, as a network sees them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from vqclip.base.errors import ConfigError
from vqclip.config.rules import among, key, schedule, within
from vqclip.guidance.interfaces import LossTerm, Measure, Perceptor, Scene
from vqclip.weights.requirement import USER_FILE, Requirement

if TYPE_CHECKING:
    from torch import Tensor

    from vqclip.guidance.latent import Latent

Features = Callable[
    ["Tensor"], Sequence["Tensor"]
]  # an image (1 3 h w) to feature maps (n d y x), block by block
Compare = Callable[
    ["Tensor"], "Tensor"
]  # an image's features (d p) at p places, to their distance () from the style's

DIRECTIONS = 32  # of the sliced distance
SEED = 0  # of these directions: the same in each step, so that the loss is one function


@dataclass(frozen=True, kw_only=True)
class Style(LossTerm):
    """The distance of the two images' features, averaged over the first `blocks` blocks of a network.

    `network` is the file of a VGG. Without it, the features are those of the perceptors' image towers, each of which
    looks through windows of its own size.

    `gram` compares the features' products with each other, averaged over places (Gatys, Ecker and Bethge, 2015, arXiv
    1508.06576). `sliced` is the squared 2-Wasserstein distance of the features' distributions, averaged over random
    directions (Heitz et al., 2021, arXiv 2006.07229). Both are divided by the style's own size.
    """

    weight: str = schedule(minimum=0, default="1")
    image: str
    network: str | None = key(default=None)
    distance: str = among("gram", "sliced", default="gram")
    blocks: int = within(1, 100, default=4)

    def images(self) -> tuple[str, ...]:
        return (self.image,)

    def requirements(self) -> tuple[Requirement, ...]:
        return (Requirement("style network", self.network, USER_FILE),) if self.network else ()

    def prepare(self, scene: Scene) -> Measure:
        from vqclip.media.image import load_image  # noqa: PLC0415

        style = load_image(scene.base / self.image)
        networks = list(self._networks(scene))
        wanted: dict[Any, list[Compare]] = {}

        def blocks_of(image: "Tensor") -> list["Tensor"]:
            maps = (block for features in networks for block in features(image)[: self.blocks])
            return [block.transpose(0, 1).flatten(1) for block in maps]

        def measure(image: "Tensor", latent: "Latent") -> "Tensor":
            known = image.device, image.shape[2:]
            if known not in wanted:
                features = blocks_of(_fitted(style, image))
                wanted[known] = [_DISTANCES[self.distance](x.detach()) for x in features]
            distances = [compare(x) for compare, x in zip(wanted[known], blocks_of(image), strict=True)]
            return sum(distances[1:], distances[0]) / len(distances)

        return measure

    def _networks(self, scene: Scene) -> Iterator[Features]:
        if self.network is not None:
            from vqclip.models.vgg import load_vgg  # noqa: PLC0415

            yield scene.models.read(self.network, scene.base, load_vgg).features
            return
        seeing = [perceptor for perceptor in scene.perceptors if perceptor.has_features]
        if not seeing:
            raise ConfigError(
                "losses.style: no perceptor has feature maps; name a VGG's file, as in losses.style.network=vgg.pth"
            )
        for perceptor in seeing:
            yield partial(_seen, perceptor)

    def value(self, image: "Tensor", latent: "Latent", scene: Scene) -> "Tensor":
        return self.prepare(scene)(image, latent)


def _seen(perceptor: Perceptor, image: "Tensor") -> Sequence["Tensor"]:
    from vqclip.guidance.ops import windows  # noqa: PLC0415  # torch

    return perceptor.features(windows(image, perceptor.size))


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
