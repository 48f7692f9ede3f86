"""Start from the user's own image, which the key `init` names, or from a mixture of it and another start."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from vqclip.guidance.interfaces import FirstImage, Start, StartTools
from vqclip.weights.requirement import Requirement

if TYPE_CHECKING:
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
