"""Start from the user's own image, which the key `init` names."""

from dataclasses import dataclass
from typing import ClassVar

from vqclip.guidance.interfaces import FirstImage, Start, StartTools
from vqclip.weights.requirement import Requirement


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
class MaskedStart(Start):
    """Start from the init image on its canvas, with another start's image where the mask says so, if there is one."""

    given: ClassVar[bool] = True
    fill: Start | None

    def requirements(self) -> tuple[Requirement, ...]:
        return self.fill.requirements() if self.fill else ()

    def prepare(self, tools: StartTools) -> FirstImage:
        from vqclip.guidance.masking import filled  # noqa: PLC0415  # torch

        canvas = tools.canvas
        if self.fill is None:
            return lambda frame, _: canvas.image
        first_image = self.fill.prepare(tools)
        return lambda frame, generator: filled(canvas, first_image(frame, generator))
