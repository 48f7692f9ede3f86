"""Start from the user's own image, which the key `init` names."""

from dataclasses import dataclass
from typing import ClassVar

from vqclip.guidance.interfaces import FirstImage, Start, StartTools


@dataclass(frozen=True, kw_only=True)
class InitStart(Start):
    """Start from an image file."""

    given: ClassVar[bool] = True
    file: str

    def prepare(self, tools: StartTools) -> FirstImage:
        from vqclip.media.image import load_image  # noqa: PLC0415  # torch

        image = load_image(tools.base / self.file)
        return lambda frame, _: image
