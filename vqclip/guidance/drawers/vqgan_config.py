"""The keys of the drawer `vqgan`, and what it needs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vqclip.config.rules import key
from vqclip.guidance.interfaces import Drawer, DrawerEntry
from vqclip.weights.requirement import Requirement

if TYPE_CHECKING:
    import torch

    from vqclip.guidance.memory import MemoryBudget


@dataclass(frozen=True, kw_only=True)
class VQGANConfig(DrawerEntry):
    """A VQGAN's decoder draws a latent of codes."""

    model: str = key(default="mini-vqgan")

    def requirements(self) -> tuple[Requirement, ...]:
        return (Requirement("vqgan", self.model, "vqgan"),)

    def open(self, models: Any, dtype: "torch.dtype", width: int, height: int, tile: bool) -> Drawer:
        from vqclip.guidance.drawers.vqgan import VQGANDrawer  # noqa: PLC0415  # torch
        from vqclip.models.vqgan_loading import load_vqgan_onto  # noqa: PLC0415  # torch

        vqgan = models.load(self.model, load_vqgan_onto, models.device, dtype)
        return VQGANDrawer(vqgan, width, height, tile)

    def cell(self) -> int:
        from vqclip.models.vqgan_loading import architecture_of  # noqa: PLC0415  # torch

        return architecture_of(self.model).factor

    def channels(self) -> int:
        from vqclip.models.vqgan_loading import architecture_of  # noqa: PLC0415  # torch

        return architecture_of(self.model).full_width

    def memory(
        self, width: int, height: int, images: int, dtype: "torch.dtype", budget: "MemoryBudget",
        device: "torch.device",
    ) -> tuple[int, int]:  # fmt: skip
        from vqclip.guidance.drawers.vqgan_memory import bytes_of  # noqa: PLC0415  # torch

        return bytes_of(self.model, width, height, images, dtype, budget, device)
