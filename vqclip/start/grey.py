"""A start of plain grey."""

from dataclasses import dataclass

from vqclip.guidance.interfaces import FirstImage, Start, StartTools


@dataclass(frozen=True, kw_only=True)
class GreyStart(Start):
    """Every pixel is halfway between black and white."""

    def prepare(self, tools: StartTools) -> FirstImage:
        import torch  # noqa: PLC0415

        return lambda frame, _: torch.full((1, 3, frame.height, frame.width), 0.5)
