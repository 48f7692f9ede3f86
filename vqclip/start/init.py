"""Start from the image that the key `init` names, from a mixture of it and another start, or from a part of it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vqclip.guidance.interfaces import Completing, FirstImage, Start, StartTools
from vqclip.weights.requirement import Requirement

if TYPE_CHECKING:
    import torch
    from torch import Generator, Tensor

    from vqclip.config.timeline import Frame


@dataclass(frozen=True, kw_only=True)
class InitStart(Start):
    """Start from an image file."""

    given: ClassVar[bool] = True
    file: str

    def prepare(self, tools: StartTools) -> FirstImage:
        from vqclip.media.image import load_image  # noqa: PLC0415  # torch

        image = load_image(tools.base / self.file)
        return lambda frame, _: image


@dataclass(frozen=True, kw_only=True)
class MixedStart(InitStart):
    """Start from an image file, mixed with the `strength`, a share, of the first image of another start."""

    other: Start
    strength: float

    def requirements(self) -> tuple[Requirement, ...]:
        return self.other.requirements()

    def prepare(self, tools: StartTools) -> FirstImage:
        from vqclip.guidance.ops import cover  # noqa: PLC0415  # torch

        init, other = super().prepare(tools), self.other.prepare(tools)

        def mix(frame: "Frame", generator: "Generator") -> "Tensor":
            image, fresh = (
                cover(each(frame, generator), frame.height, frame.width) for each in (init, other)
            )
            return image.lerp(fresh.to(image), self.strength)

        return mix

    def memory(self, dtype: "torch.dtype") -> int:
        return self.other.memory(dtype)

    def outlook(self, device: "torch.device", dtype: "torch.dtype") -> str:
        return self.other.outlook(device, dtype)


@dataclass(frozen=True, kw_only=True)
class MaskedStart(Start):
    """Start from the init image on its canvas, with another start's image where the mask says so, if there is one.

    A start that can complete an image does that instead.
    """

    given: ClassVar[bool] = True
    fill: Start | None

    def requirements(self) -> tuple[Requirement, ...]:
        return self.fill.requirements() if self.fill else ()

    def prepare(self, tools: StartTools) -> FirstImage:
        from vqclip.guidance.masking import filled  # noqa: PLC0415  # torch
        from vqclip.start.completed import CompletedImage  # noqa: PLC0415  # torch

        canvas = tools.canvas
        if self.fill is None:
            return lambda frame, _: canvas.image
        first_image = self.fill.prepare(tools)
        if isinstance(first_image, Completing):
            return CompletedImage(first_image, canvas)
        return lambda frame, generator: filled(canvas, first_image(frame, generator))

    def memory(self, dtype: "torch.dtype") -> int:
        return self.fill.memory(dtype) if self.fill else 0

    def outlook(self, device: "torch.device", dtype: "torch.dtype") -> str:
        return self.fill.outlook(device, dtype) if self.fill else ""
