"""Start from four random colours, blended."""

from dataclasses import dataclass

from vqclip.guidance.interfaces import FirstImage, Start, StartTools


@dataclass(frozen=True, kw_only=True)
class GradientStart(Start):
    """Start from a gradient with a random colour in each corner."""

    def prepare(self, tools: StartTools) -> FirstImage:
        from vqclip.guidance.ops import gradient_image  # noqa: PLC0415  # torch

        return lambda frame, generator: gradient_image(frame.height, frame.width, generator)
