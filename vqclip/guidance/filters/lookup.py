"""Look-up: each pixel gets the nearest colour of a palette."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.config.palette import parse
from vqclip.guidance.interfaces import Apply, Filter, FilterTools

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Lookup(Filter):
    """Replace each pixel by the nearest of `colours`, written as in the key `palette`; gradients pass as if it were kept."""

    kind: str = "lookup"
    colours: list[str]

    def __post_init__(self) -> None:
        parse(self.colours, "filters.colours")

    def open(self, tools: FilterTools) -> Apply:
        from vqclip.guidance.ops import constants, straight_through  # noqa: PLC0415
        from vqclip.media.palette_file import colours  # noqa: PLC0415

        rgb, tables = colours(parse(self.colours, "filters.colours"), tools.base), dict[torch.device, Tensor]()

        def apply(images: "Tensor") -> "Tensor":
            if images.device not in tables:
                tables[images.device] = constants(rgb, images.device)
            return straight_through(nearest_colours(images.detach(), tables[images.device]), images)

        return apply


def nearest_colours(images: "Tensor", table: "Tensor") -> "Tensor":
    """Give each pixel of images (n 3 h w) the nearest of the colours (m 3), row by row of the image."""
    import torch  # noqa: PLC0415

    rows = [
        table[torch.cdist(row.movedim(1, -1).flatten(0, 1), table, compute_mode="donot_use_mm_for_euclid_dist").argmin(-1)]
        for row in images.flatten(2).split(1 << 16, 2)
    ]
    pixels = torch.cat([row.view(len(images), -1, 3) for row in rows], 1)
    return pixels.movedim(-1, 1).reshape(images.shape)
