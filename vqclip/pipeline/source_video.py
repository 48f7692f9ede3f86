"""The Source is the video that a film is painted over, read frame by frame as the painting goes on."""

from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from vqclip.config.schema import SourceConfig
from vqclip.media.video_reader import VideoReader


def open_source(config: SourceConfig, base: Path = Path()) -> VideoReader | None:
    """What a Config takes of a video, where it names one; raises VideoError. Relative paths begin at `base`."""
    if config.video is None:
        return None
    return VideoReader(base / config.video, config.begin, config.end, config.every)


class Source:
    """Gives a video's pictures by number, and holds no more than two; raises VideoError."""

    def __init__(self, reader: VideoReader):
        self.reader = reader
        self._coming: Iterator[tuple[int, Tensor]] = iter(())
        self._near: dict[int, Tensor] = {}

    def image(self, number: int) -> Tensor:
        """A picture (1 3 h w) in [0, 1]; for another than the last, the next or their neighbour the video is sought."""
        if number not in self._near and number - 1 not in self._near:
            first = max(0, number - 1)
            self._near, self._coming = {}, enumerate(self.reader.frames(first), first)
        while number not in self._near:
            position, image = next(self._coming)
            self._near = {i: old for i, old in self._near.items() if i == position - 1} | {position: image}
        return self._near[number]
