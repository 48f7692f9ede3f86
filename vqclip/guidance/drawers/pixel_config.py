"""The keys of the drawer `pixel`: how many pixels there are, and their shape."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vqclip.base.errors import ConfigError
from vqclip.config.rules import among, key
from vqclip.config.sizes import parse_size
from vqclip.guidance.interfaces import Drawer, DrawerEntry

if TYPE_CHECKING:
    import torch

    from vqclip.guidance.memory import MemoryBudget

LONGER_SIDE = 64  # of the grid, where none is given
IMAGES = 6  # as large as an image, in fp32: itself, its gradient, and the numbers of cells


@dataclass(frozen=True, kw_only=True)
class PixelConfig(DrawerEntry):
    """A grid of colours, each a square, a hexagon or a triangle with exact edges; no network is needed."""

    pixels: str | None = key(default=None)
    shape: str = among("square", "hex", "triangle", default="square")

    def __post_init__(self) -> None:
        try:
            _ = self.pixels and parse_size(self.pixels)
        except ConfigError as error:
            raise ConfigError(
                f"drawer.pixels: {error}".replace("size: ", "").replace("256x256", "64x48")
            ) from None

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """Give the rows and columns of an image's pixels; raises ConfigError where the image has fewer itself."""
        if self.pixels is None:
            scale = min(1.0, LONGER_SIDE / max(width, height))
            return max(1, round(height * scale)), max(1, round(width * scale))
        columns, rows = parse_size(self.pixels)
        if columns > width or rows > height:
            raise ConfigError(
                f"drawer.pixels: {self.pixels} are more than the {width}x{height} of the image; write fewer, or a "
                "larger size"
            )
        return rows, columns

    def open(self, models: Any, dtype: "torch.dtype", width: int, height: int, tile: bool) -> Drawer:
        from vqclip.guidance.drawers.pixel import PixelDrawer  # noqa: PLC0415  # torch

        return PixelDrawer(width, height, models.device, self.grid(width, height), self.shape, tile)

    def memory(
        self, width: int, height: int, images: int, dtype: "torch.dtype", budget: "MemoryBudget",
        device: "torch.device",
    ) -> tuple[int, int]:  # fmt: skip
        return 0, images * 4 * 3 * IMAGES * width * height
