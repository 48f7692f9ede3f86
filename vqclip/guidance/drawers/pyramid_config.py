"""The keys of the drawer `pyramid`: how much slower fine resolutions change."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from vqclip.config.rules import within
from vqclip.guidance.interfaces import Drawer, DrawerEntry

if TYPE_CHECKING:
    import torch

    from vqclip.guidance.memory import MemoryBudget

IMAGES = 22  # as large as an image, in fp32: six latents of two each, the enlarged columns, their sum, its gradient
MATRICES = 4  # a side's, in its squares: the resolutions' sides, as shares of the largest, add up to it


@dataclass(frozen=True, kw_only=True)
class PyramidConfig(DrawerEntry):
    """An image is the sum of images at many resolutions, optimised together; no network is needed."""

    recipe: ClassVar[str] = "recipes/pyramid"

    falloff: float = within(0, 2, default=1.0, neutral=0.0)  # of the rate with the resolution; 0: none

    def open(self, models: Any, dtype: "torch.dtype", width: int, height: int, tile: bool) -> Drawer:
        from vqclip.guidance.drawers.pyramid import PyramidDrawer  # noqa: PLC0415  # torch

        return PyramidDrawer(width, height, models.device, tile, self.falloff)

    def memory(
        self, width: int, height: int, images: int, dtype: "torch.dtype", budget: "MemoryBudget",
        device: "torch.device",
    ) -> tuple[int, int]:  # fmt: skip
        return 4 * MATRICES * (width**2 + height**2), images * 4 * 3 * IMAGES * width * height
