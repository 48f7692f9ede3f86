"""A filter: the image's negative."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.config.rules import within
from vqclip.guidance.interfaces import Apply, Filter, FilterTools

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Invert(Filter):
    """Turn each colour into its opposite, by a `share` of the way."""

    kind: str = "invert"
    share: float = within(0, 1, default=1.0)

    def open(self, tools: FilterTools) -> Apply:
        def apply(images: "Tensor") -> "Tensor":
            return images + self.share * (1 - 2 * images)

        return apply
