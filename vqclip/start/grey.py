"""Start from plain grey."""

from dataclasses import dataclass

from vqclip.guidance.interfaces import FirstImage, Start, StartTools


@dataclass(frozen=True, kw_only=True)
class GreyStart(Start):
    """Start from an image whose pixels are all 0.5."""

    def prepare(self, tools: StartTools) -> FirstImage:
        import torch  # noqa: PLC0415

        return lambda frame, _: torch.full((1, 3, frame.height, frame.width), 0.5)
