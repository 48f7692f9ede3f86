"""Look-up: each pixel gets the nearest colour of a palette."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vqclip.config.palette import image_files, parse
from vqclip.guidance.interfaces import Apply, Filter, FilterTools

if TYPE_CHECKING:
    import torch
    from torch import Tensor

CHUNK = 2**20  # distances that are computed at once


@dataclass(frozen=True, kw_only=True)
class Lookup(Filter):
    """Replace each pixel by the nearest of `colours`, written as in the key `palette`; gradients pass it unchanged."""

    kind: str = "lookup"
    colours: list[str]

    def __post_init__(self) -> None:
        parse(self.colours, "filters.colours")

    def images(self) -> tuple[str, ...]:
        return tuple(image_files(self.colours, "filters.colours"))

    def open(self, tools: FilterTools) -> Apply:
        from vqclip.guidance.ops import constants, straight_through  # noqa: PLC0415
        from vqclip.media.palette_file import colours  # noqa: PLC0415

        rgb = colours(parse(self.colours, "filters.colours"), tools.base)
        tables: dict[torch.device, Tensor] = {}

        def apply(images: "Tensor") -> "Tensor":
            if images.device not in tables:
                tables[images.device] = constants(rgb, images.device)
            return straight_through(nearest_colours(images.detach(), tables[images.device]), images)

        return apply


def nearest_colours(images: "Tensor", table: "Tensor") -> "Tensor":
    """Give each pixel of images (n 3 h w) the nearest of the colours (m 3)."""
    import torch  # noqa: PLC0415

    pixels = images.movedim(1, -1).reshape(-1, 3)
    # The squares themselves: |x|^2 - 2 x c + |c|^2 loses digits, and the distances of all pixels at once take memory.
    parts = [
        (part[:, None] - table).square().sum(-1).argmin(-1)
        for part in torch.split(pixels, max(1, CHUNK // len(table)))
    ]
    return table[torch.cat(parts)].view(*images.shape[:1], *images.shape[2:], 3).movedim(-1, 1)
