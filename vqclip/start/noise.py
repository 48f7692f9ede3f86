"""Start from smooth noise."""

from dataclasses import dataclass

from vqclip.guidance.interfaces import FirstImage, Start, StartTools


@dataclass(frozen=True, kw_only=True)
class NoiseStart(Start):
    """Start from noise of many octaves."""

    def prepare(self, tools: StartTools) -> FirstImage:
        from vqclip.guidance.ops import fractal_noise  # noqa: PLC0415  # torch

        return lambda frame, generator: fractal_noise(frame.height, frame.width, generator)
