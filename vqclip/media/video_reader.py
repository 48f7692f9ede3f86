"""Read videos: a stream of frames at a constant rate, from any frame on."""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cached_property
from math import ceil
from pathlib import Path
from subprocess import DEVNULL, PIPE

import torch
from einops import rearrange
from torch import Tensor

from vqclip.base.errors import SourceError, VideoError, is_url, spelled
from vqclip.media import ffmpeg
from vqclip.media.video_look import Look


def check_source(path: Path) -> None:
    """Check that a video's file is there; raises SourceError."""
    if is_url(path) and not path.exists():
        raise SourceError(f"{spelled(path)} is a URL; download the video, and name its file")
    if not path.exists():
        raise SourceError(f"there is no video {path}")
    if path.is_dir():
        raise SourceError(f"{path} can't be read: is a directory")


class VideoReader:
    """Every `every`th frame of a video from `begin` to `end` (seconds; None: to its end).

    Frames are upright, with square pixels, in the brightness of a plain screen, and over white where transparent.
    Their rate is constant: if the video's own varies, frames are repeated or left out such that each is shown at
    its time. Raises VideoError if the file can't be read as a video, or has none in that range.
    """

    def __init__(self, path: Path, begin: float = 0.0, end: float | None = None, every: int = 1):
        if begin < 0 or every < 1 or (end is not None and end <= begin):
            raise SourceError(
                f"{path}: there is nothing from {begin:g} s to {end} s, each {every}th; begin earlier"
            )
        check_source(path)
        self.path, self.begin, self.end, self.every = path, begin, end, every
        self._look = Look()
        self._probe()
        # On the source's own raster, so that no rounding decides which image is the first.
        self.begin = float(round(begin * self._rate) / self._rate)

    @property
    def fps(self) -> float:
        return float(self._rate / self.every)

    @cached_property
    def count(self) -> int:
        """The number of frames, found by reading all of them once."""
        done = ffmpeg.run(*self._arguments(), "-f", "framecrc", "-")
        return _pictures_listed(done.stdout)

    def frames(self, first: int = 0) -> Iterator[Tensor]:
        """Yield frames (1 3 h w) in [0, 1] from number `first` on, counted from 0. Raises VideoError."""
        channels, layout = (4, "rgba") if self._look.is_transparent else (3, "rgb24")
        size, output = channels * self.width * self.height, ["-f", "rawvideo", "-pix_fmt", layout, "-"]
        arguments = self._arguments(first, self._look.filters)
        source = ffmpeg.start(*arguments, *output, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL)
        with source:
            assert source.stdout
            try:
                for number in range(first, self.count):
                    data = bytearray(source.stdout.read(size))
                    if len(data) < size:
                        raise VideoError(f"{self.path} is damaged: it ends at frame {number} of {self.count}")
                    pixels = torch.frombuffer(data, dtype=torch.uint8).view(self.height, self.width, channels)
                    yield _over_white(rearrange(pixels, "h w c -> 1 c h w") / 255)
            finally:
                source.kill()

    def _probe(self) -> None:
        """Read size, rate, look and sound from ffmpeg's output about the first frame."""
        about, said = self._first_picture("showinfo")
        self._look = Look.parse(said)
        self.has_sound = bool(re.search(r"^ *Stream #0.*: Audio: ", said, re.MULTILINE))
        self._rate = _rate(about, said)
        if self._look.filters or self._look.decoder:
            about, _ = self._first_picture(",".join(self._look.filters) or "null")
        size = re.search(r"#dimensions 0: (\d+)x(\d+)", about)
        assert size
        self.width, self.height = int(size[1]), int(size[2])

    def _first_picture(self, filters: str) -> tuple[str, str]:
        """Return what ffmpeg lists of the first frame, and its messages. Raises VideoError."""
        arguments = [*self._input(self.begin), "-vf", filters, "-frames:v", "1", "-f", "framecrc", "-"]
        done = ffmpeg.run(*arguments, loglevel="info")
        about, said = done.stdout.decode(), done.stderr.decode(errors="replace")
        if "#dimensions 0:" not in about:
            why = (
                "it has no images"
                if "Input #0" in said and not done.stdout
                else ffmpeg.complaint(done.stderr)
            )
            raise SourceError(f"{self.path} is not a video that vqclip can read: {why}")
        if not _pictures_listed(done.stdout):
            raise SourceError(f"{self.path} has no frame from {self.begin:g} s on; begin earlier")
        return about, said

    def _input(self, begin: float) -> list[str | Path]:
        end = [] if self.end is None else ["-to", f"{self.end:f}"]
        # Where it needn't seek it shouldn't: it can't in a WebP.
        start = ["-ss", f"{begin:f}"] if begin else []
        return [*start, *end, *self._look.decoder, "-i", self.path, "-map", "0:v:0"]

    def _arguments(self, first: int = 0, look: Sequence[str] = ()) -> list[str | Path]:
        """Return ffmpeg's arguments for reading from frame `first` on, with the filters that frames need.

        ffmpeg seeks by key frames, and drops what lies before the requested time. So it is sent a second too early, and
        the frames that are too early are counted. No rounding of times decides which frame comes first.
        """
        skipped = first * self.every
        early = skipped if self.path.suffix.lower() == ".webp" else min(skipped, ceil(self._rate))
        begin = self.begin + float((skipped - early) / self._rate)
        chosen = f"gte(n,{early})*not(mod(n-{early},{self.every}))"
        filters = [f"fps={self._rate}:start_time=0", f"select='{chosen}'", *look]
        return [*self._input(begin), "-vf", ",".join(filters), "-fps_mode", "passthrough"]


def _over_white(image: Tensor) -> Tensor:
    """Lay an image (1 3|4 h w) over white where it has an alpha channel."""
    if image.shape[1] == 3:
        return image
    colours, alpha = image[:, :3], image[:, 3:]
    return colours * alpha + (1 - alpha)


def _rate(about: str, said: str) -> Fraction:
    """Return frames per second: ffmpeg's guess at the rate behind the times, or their mean if that is far less.

    For two frames, ffmpeg gives no mean and guesses its clock's rate. Then the first frame's time counts.
    """
    base = re.search(r"#tb 0: (\d+)/(\d+)", about)
    guess = Fraction(int(base[2]), int(base[1])) if base else Fraction(25)
    first = re.search(r"^0,[^,]*,[^,]*, *([1-9]\d*)", about, re.MULTILINE)
    if mean := re.search(r"Video: .* ([\d.]+) fps", said):
        slower = Fraction(mean[1])
    else:
        slower = guess / int(first[1]) if first else guess
    return slower if guess > 2 * slower > 0 else guess


def _pictures_listed(checksums: bytes) -> int:
    return sum(not line.startswith(b"#") for line in checksums.splitlines())
