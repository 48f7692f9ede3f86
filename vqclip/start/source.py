"""Start each frame from the frame of the source video, which the key `source.video` names."""

from dataclasses import dataclass
from typing import ClassVar

from vqclip.guidance.interfaces import FirstImage, Start, StartTools


@dataclass(frozen=True, kw_only=True)
class SourceStart(Start):
    """Start from the source's frame of the same number."""

    given: ClassVar[bool] = True

    def prepare(self, tools: StartTools) -> FirstImage:
        source = tools.source
        return lambda frame, _: source.image(frame.index)
