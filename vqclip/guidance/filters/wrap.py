"""Wrap: the image is shifted, and what leaves on one side comes in on the other, so that its seam lies inside."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.config.rules import within
from vqclip.guidance.interfaces import Apply, Filter, FilterTools

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Wrap(Filter):
    """Shift the image to the right and down by shares of its sides."""

    kind: str = "wrap"
    right: float = within(-1, 1, default=0.5)
    down: float = within(-1, 1, default=0.5)

    def open(self, tools: FilterTools) -> Apply:
        return self._apply

    def _apply(self, images: "Tensor") -> "Tensor":
        height, width = images.shape[2:]
        return images.roll((round(self.down * height), round(self.right * width)), (2, 3))
