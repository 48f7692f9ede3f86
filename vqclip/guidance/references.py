"""Prepare the images that loss terms compare with, before the first step, so that a step copies nothing."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vqclip.config.schema import Config, in_use
from vqclip.guidance.crop_sampling import place_crops, warp
from vqclip.guidance.cutout_draws import Placement
from vqclip.guidance.interfaces import Drawer, LossTerm, Perceptor
from vqclip.guidance.masking import Canvas
from vqclip.guidance.ops import cover
from vqclip.guidance.records import sent
from vqclip.media.image import load_image


@dataclass(frozen=True)
class Reference:
    """Hold an image to compare with: its pixels (1 3 h w) by size (h, w), its latent (1 d y x), and its embeddings.

    The latent is None where the drawer can't encode. The embeddings (1 d) are those of the whole image, by perceptor.
    """

    pixels: Mapping[tuple[int, int], Tensor]
    latent: Tensor | None
    embeddings: Sequence[Tensor]


class WholeView:
    """Embed the whole of an image by each perceptor: one square view around it, reflected beyond its border."""

    def __init__(
        self, perceptors: Iterable[Perceptor], sizes: Collection[tuple[int, int]], device: torch.device
    ):
        """`sizes` (h, w) are those of all images that will be embedded."""
        self._perceptors = list(perceptors)
        self._map = torch.eye(3, device=device)[None]
        self._placements = {
            (size, perceptor.size): sent(_around(*size, perceptor.size), device)
            for size in sizes
            for perceptor in self._perceptors
        }

    def embed(self, image: Tensor) -> list[Tensor]:
        """Embed an image (1 3 h w) as unit vectors (1 d), differentiably."""
        size = image.shape[2], image.shape[3]
        return [
            perceptor.embed_crops(
                warp(image, self._map, self._placements[size, perceptor.size], perceptor.size, "reflect")
            )
            for perceptor in self._perceptors
        ]


def _around(height: int, width: int, size: int) -> Placement:
    """Place the square around an image, as the anchors among the crops are placed."""
    x, y, half = width / 2, height / 2, max(width, height) / 2
    return place_crops(torch.tensor([[x - half, y - half, x + half, y + half]]), height, width, size)


def read_references(config: Config, base: Path, canvas: Canvas | None) -> dict[str, Tensor]:
    """Read the images (1 3 h w) that a Config's losses compare with, by file; the init is the canvas's, if any.

    Raises ImageError, and ConfigError where a loss has no image.
    """
    terms = [term for term in in_use(config.losses).values() if isinstance(term, LossTerm)]
    files = [file for term in terms for file in term.files(config.init)]
    return {
        file: canvas.image if canvas and file == config.init else load_image(base / file) for file in files
    }


@torch.no_grad()
def make_references(
    images: Mapping[str, Tensor], drawer: Drawer, sizes: Sequence[tuple[int, int]], view: WholeView
) -> dict[str, Reference]:
    """Make the references of images (1 3 h w), for drawn images of these sizes (h, w)."""
    return {file: _reference(image, drawer, sizes, view) for file, image in images.items()}


def _reference(image: Tensor, drawer: Drawer, sizes: Sequence[tuple[int, int]], view: WholeView) -> Reference:
    pixels = {size: cover(image, *size).clamp(0, 1).to(drawer.device) for size in sizes}
    latent = drawer.encode(image, drawer.latent_shape()) if drawer.encodes else None
    return Reference(pixels, latent, view.embed(pixels[sizes[0]]))
