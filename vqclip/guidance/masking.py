"""Keep a part of an image: render what a mask marks anew, and show the rest as it was, to the pixel."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from vqclip.base.errors import ConfigError
from vqclip.config.schema import Config
from vqclip.config.sections import MaskConfig
from vqclip.config.sizes import Margins
from vqclip.guidance.interfaces import Drawer
from vqclip.guidance.ops import cover, resize
from vqclip.media.image import load_image, load_mask

_NEAR = 0.05  # how far a mask's grey may lie from black or white and still count as it: JPEG is inexact


@dataclass(frozen=True)
class Canvas:
    """Hold the image (1 3 h w) whose parts are kept, and the mask (1 1 h w): 1 where it is rendered anew."""

    image: Tensor
    mask: Tensor


def open_canvas(config: Config, base: Path) -> Canvas | None:
    """Read the init image and the mask of a Config, or give None where nothing is kept.

    Raises ImageError, and ConfigError where the mask leaves nothing to render.
    """
    if not config.is_masked:
        return None
    assert config.init
    image = load_image(base / config.init)
    mask = load_mask(base / config.mask.file) if config.mask.file is not None else None
    canvas = make_canvas(image, mask, config.width, config.height, config.margins, config.mask)
    if not canvas.mask.any():
        raise ConfigError(
            "mask.file: it marks nothing to render anew, which white does; add --set mask.invert=true if it is the "
            "wrong way round"
        )
    return canvas


def make_canvas(
    image: Tensor, mask: Tensor | None, width: int, height: int, margins: Margins, settings: MaskConfig
) -> Canvas:
    """Scale image (1 3 h w) and mask (1 1 h w) into width x height without the margins, which are rendered anew.

    The image is reflected into the margins.
    """
    inner = height - margins.top - margins.bottom, width - margins.left - margins.right
    marked = torch.zeros_like(image[:, :1]) if mask is None else resize(mask, *image.shape[2:])
    if mask is not None:
        marked = ((marked - _NEAR) / (1 - 2 * _NEAR)).clamp(0, 1)
        marked = 1 - marked if settings.invert else marked
    padding = (margins.left, margins.right, margins.top, margins.bottom)
    marked = F.pad(cover(marked, *inner).clamp(0, 1), padding, value=1.0)
    placed = _reflected(cover(image, *inner).clamp(0, 1), margins)
    return Canvas(placed, feathered(marked, settings.feather))


def _reflected(image: Tensor, margins: Margins) -> Tensor:
    """Extend an image (1 3 h w) by its reflections; margins may be wider than the image."""
    for dim, before, after in ((2, margins.top, margins.bottom), (3, margins.left, margins.right)):
        side = image.shape[dim]
        index = torch.arange(-before, side + after) % (2 * side)
        image = image.index_select(dim, index.minimum(2 * side - 1 - index))
    return image


def feathered(mask: Tensor, pixels: int) -> Tensor:
    """Let a mask (1 1 h w) rise from 0 to 1 over about so many pixels within its border; what is 0 stays 0."""
    if pixels == 0:
        return mask
    radius = (pixels + 1) // 2
    side = 2 * radius + 1
    eroded = -F.max_pool2d(-mask, side, stride=1, padding=radius)
    padded = F.pad(eroded, (radius,) * 4, mode="replicate")
    return F.avg_pool2d(padded, side, stride=1).minimum(mask)


def filled(canvas: Canvas, fresh: Tensor) -> Tensor:
    """Put a fresh image (1 3 h w), scaled to the box around the mask, where the mask is."""
    rows, columns = (canvas.mask[0, 0].amax(dim).nonzero()[:, 0] for dim in (1, 0))
    top, left, bottom, right = int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
    image = canvas.image.clone()
    image[..., top:bottom, left:right] = cover(fresh, bottom - top, right - left).clamp(0, 1)
    return composite(image, canvas.image, canvas.mask)


def composite(image: Tensor, kept: Tensor, mask: Tensor) -> Tensor:
    """Show images (n 3 h w) where the mask (1 1 h w) is 1, and the kept image (1 3 h w) where it is 0."""
    return kept + mask * (image - kept)


class MaskedDrawer:
    """Draw as another drawer does, and show the kept image where the canvas's mask is 0.

    Everything but decoding is the other drawer's.
    """

    def __init__(self, drawer: Drawer, canvas: Canvas, sizes: Iterable[tuple[int, int]]):
        """`sizes` (h, w) are all that will be drawn; they are prepared here, so that a step copies nothing."""
        self._drawer, device = drawer, drawer.device
        self._canvases = {
            size: (resize(canvas.image, *size).to(device), resize(canvas.mask, *size).clamp(0, 1).to(device))
            for size in sizes
        }

    def __getattr__(self, name: str) -> Any:
        return getattr(self._drawer, name)

    def decode(self, z: Tensor, shifts: Tensor | None = None, recompute: bool = False) -> Tensor:
        return self._composite(self._drawer.decode(z, shifts, recompute))

    def decode_output(self, z: Tensor) -> Tensor:
        return self._composite(self._drawer.decode_output(z))

    def _composite(self, image: Tensor) -> Tensor:
        kept, mask = self._canvases[image.shape[2], image.shape[3]]
        return composite(image, kept, mask)


def masked(drawer: Drawer, canvas: Canvas | None, sizes: Iterable[tuple[int, int]]) -> Drawer:
    """Make a drawer that keeps what the canvas keeps in images of these sizes (h, w), or give the drawer itself."""
    return cast(Drawer, MaskedDrawer(drawer, canvas, sizes)) if canvas else drawer
