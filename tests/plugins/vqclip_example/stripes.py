"""A start: vertical stripes."""

from dataclasses import dataclass

from vqclip.config.rules import within
from vqclip.guidance.interfaces import FirstImage, Start, StartTools


@dataclass(frozen=True, kw_only=True)
class StripesStart(Start):
    """Stripes of black and white, `width` pixels each."""

    width: int = within(1, default=4)

    def prepare(self, tools: StartTools) -> FirstImage:
        import torch  # noqa: PLC0415

        def image(frame, generator):  # type: ignore[no-untyped-def]
            stripes = (torch.arange(frame.width) // self.width % 2).float()
            return stripes.expand(1, 3, frame.height, frame.width)

        return image
