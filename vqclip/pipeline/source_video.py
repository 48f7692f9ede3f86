"""Read the source video that a film restyles, frame by frame as the film is rendered."""

from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from vqclip.config.schema import SourceConfig
from vqclip.media.video_reader import VideoReader


def open_source(config: SourceConfig, base: Path = Path()) -> VideoReader | None:
    """Open the video that a Config names, or give None; raises VideoError. Relative paths begin at `base`."""
    if config.video is None:
        return None
    return VideoReader(base / config.video, config.begin, config.end, config.every)


class Source:
    """Read a video's frames by number, and keep two at most; raises VideoError."""

    def __init__(self, reader: VideoReader):
        self.reader = reader
        self._coming: Iterator[tuple[int, Tensor]] = iter(())
        self._near: dict[int, Tensor] = {}

    def image(self, number: int) -> Tensor:
        """Read a frame (1 3 h w) in [0, 1]; seek only if it is neither the last two read nor the next."""
        if number not in self._near and number - 1 not in self._near:
            first = max(0, number - 1)
            self._near, self._coming = {}, enumerate(self.reader.frames(first), first)
        while number not in self._near:
            position, image = next(self._coming)
            self._near = {i: old for i, old in self._near.items() if i == position - 1} | {position: image}
        return self._near[number]
