"""Stamp an image on the one that is made, every so many steps; the steps in between make it a part of that image."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vqclip.base.errors import ConfigError
from vqclip.config.sections import OverlayConfig
from vqclip.guidance.interfaces import Drawer
from vqclip.guidance.ops import cover, resize
from vqclip.media.image import load_image, load_transparency


@dataclass(frozen=True)
class Overlay:
    """Hold an image (1 3 h w) with the share of it that shows at each pixel (1 1 h w), and the steps of the stamps."""

    image: Tensor
    alpha: Tensor
    every: int
    offset: int
    until: int | None

    def is_due(self, step: int) -> bool:
        """Tell whether the image is stamped before the step of this number, counted from 0."""
        is_over = self.until is not None and step > self.until
        return step >= self.offset and (step - self.offset) % self.every == 0 and not is_over

    @torch.no_grad()
    def stamp(self, z: Tensor, drawer: Drawer) -> None:
        """Change a latent (1 d y x), in place, into that of its image with the stamp on it."""
        drawn = drawer.decode_full(z)  # before filters, which would be applied twice
        image, alpha = (resize(x, *drawn.shape[2:]).clamp(0, 1).to(drawn) for x in (self.image, self.alpha))
        z.copy_(drawer.encode(drawn + alpha * (image - drawn), (z.shape[2], z.shape[3])))


def open_overlay(settings: OverlayConfig, base: Path, width: int, height: int) -> Overlay | None:
    """Read the overlay of a Config, or give None where there is none. Raises ImageError."""
    if settings.file is None:
        return None
    path = base / settings.file
    image, clear = load_image(path), load_transparency(path)
    cut: Callable[[Tensor], Tensor] = lambda x: cover(x, height, width).clamp(0, 1)  # noqa: E731
    alpha = settings.alpha * (1 - cut(clear))
    return Overlay(cut(image), alpha, settings.every, settings.offset, settings.until)


def check_overlay(overlay: Overlay | None, drawer: Drawer) -> None:
    """Refuse an overlay with a drawer that can't encode images; raises ConfigError."""
    if overlay and not drawer.encodes:
        raise ConfigError(
            "overlay.file: this VQGAN is a decoder alone, and a stamp must be encoded; leave it out"
        )
