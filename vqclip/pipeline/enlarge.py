"""Enlarge a finished image, by a network or by Lanczos's filter, as the keys under `upscale` say."""

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image
from torch import Tensor

from vqclip.config.sections import UpscaleConfig
from vqclip.guidance.interfaces import Apply
from vqclip.media.image import from_pil, to_pil
from vqclip.models.upscaler import load_named
from vqclip.pipeline.model_cache import ModelCache


@dataclass(frozen=True)
class Enlarge:
    """Convert images (1 3 h w) in [0, 1] to 8-bit RGB, or (1 4 h w) to RGBA, `factor` times as wide and high."""

    factor: int = 1
    network: Callable[[Tensor], Tensor] | None = None
    lock: Apply | None = None  # gives the enlarged image, too, only the palette's colours

    def __call__(self, image: Tensor) -> Image.Image:
        """Run the network once, where there is one, and resample to the size if its own factor is another."""
        enlarged = self._colours(image[:, :3])
        if image.shape[1] == 4:
            alpha = to_pil(image[:, 3:].expand(-1, 3, -1, -1)).getchannel(0)
            enlarged.putalpha(alpha.resize(enlarged.size, Image.Resampling.LANCZOS))
        return enlarged

    def _colours(self, image: Tensor) -> Image.Image:
        height, width = image.shape[2:]
        enlarged = to_pil(self.network(image.float().clamp(0, 1)) if self.network else image)
        size = (width * self.factor, height * self.factor)
        if enlarged.size != size:
            enlarged = enlarged.resize(size, Image.Resampling.LANCZOS)
        return to_pil(self.lock(from_pil(enlarged))) if self.lock else enlarged


def enlarging(config: UpscaleConfig, models: ModelCache, lock: Apply | None = None) -> Enlarge:
    """Load what a Config's images are enlarged with; raises WeightsError."""
    if config.factor == 1:
        return Enlarge()
    return Enlarge(
        config.factor, models.load(config.model, load_named, models.device) if config.model else None, lock
    )
