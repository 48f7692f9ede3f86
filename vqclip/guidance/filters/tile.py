"""Tile: the image, made smaller, several times beside and below itself, so that its seams are seen."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.config.rules import within
from vqclip.guidance.interfaces import Apply, Filter, FilterTools

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Tile(Filter):
    """Repeat the image `times` by `times`; copies that don't fit the size are cut on the right and below."""

    kind: str = "tile"
    times: int = within(1, 64, default=2)

    def open(self, tools: FilterTools) -> Apply:
        return self._apply

    def _apply(self, images: "Tensor") -> "Tensor":
        from vqclip.guidance.ops import resize  # noqa: PLC0415  # torch

        height, width = images.shape[2:]
        small = resize(images, -(-height // self.times), -(-width // self.times)).clamp(0, 1)
        return small.repeat(1, 1, self.times, self.times)[..., :height, :width]
