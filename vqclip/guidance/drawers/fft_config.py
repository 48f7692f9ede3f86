"""The keys of the drawer `fft`: it has none."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vqclip.guidance.interfaces import Drawer, DrawerEntry

if TYPE_CHECKING:
    import torch

    from vqclip.guidance.memory import MemoryBudget


@dataclass(frozen=True, kw_only=True)
class FFTConfig(DrawerEntry):
    """Pixels are drawn in a decorrelated Fourier basis; no network is needed."""

    def open(self, models: Any, dtype: "torch.dtype", width: int, height: int, tile: bool) -> Drawer:
        from vqclip.guidance.drawers.fft import FFTDrawer  # noqa: PLC0415  # torch

        return FFTDrawer(width, height, models.device, tile)

    def memory(
        self, width: int, height: int, images: int, dtype: "torch.dtype", budget: "MemoryBudget",
        device: "torch.device",
    ) -> tuple[int, int]:  # fmt: skip
        return 0, images * 4 * 6 * 4 * width * height  # four spectra, as long as two images each, in fp32
