"""The keys of the perceptor `open_clip`, and what it needs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vqclip.guidance.interfaces import Perceptor, PerceptorEntry
from vqclip.weights.requirement import Requirement

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class OpenCLIPConfig(PerceptorEntry):
    """A CLIP that open_clip builds."""

    model: str

    @property
    def label(self) -> str:
        return self.model

    def requirements(self) -> tuple[Requirement, ...]:
        return (Requirement("perceptor", self.model, "clip"),)

    def at(self, places: Mapping[str, str]) -> "OpenCLIPConfig":
        return replace(self, model=places.get(self.model, self.model))

    def open(self, models: Any, dtype: "torch.dtype") -> Perceptor:
        from vqclip.guidance.perceptors.open_clip import OpenCLIPPerceptor  # noqa: PLC0415  # torch

        return OpenCLIPPerceptor(self.model, models.device, dtype, models.pull)

    def memory(self, crops: int, dtype: "torch.dtype", device: "torch.device") -> tuple[int, int]:
        from vqclip.guidance.perceptors.open_clip_memory import bytes_of  # noqa: PLC0415  # torch

        return bytes_of(self.model, crops, dtype, device)
