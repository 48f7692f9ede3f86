"""Videos in: pictures at a constant rate, streamed, from any of them on."""

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

from vqclip.base.errors import VideoError
from vqclip.media import ffmpeg
from vqclip.media.video_look import Look


class VideoReader:
    """The pictures of a video from `begin` to `end` (seconds; None: to its end), each `every`th of them.

    They come upright, with square pixels, in the brightness of a plain screen, and over white where they are clear.
    Their rate is constant: where the source's own varies, pictures are repeated or left out such that each is shown at
    its time. Raises VideoError if the file can't be read as a video, or has none in that range.
    """

    def __init__(self, path: Path, begin: float = 0.0, end: float | None = None, every: int = 1):
        if begin < 0 or every < 1 or (end is not None and end <= begin):
            raise VideoError(
                f"{path}: there is nothing from {begin:g} s to {end} s, each {every}th; begin earlier"
            )
        self.path, self.begin, self.end, self.every = path, begin, end, every
        self._look = Look()
        self._probe()
        # On the source's own raster, so that no rounding decides which picture is the first.
        self.begin = float(round(begin * self._rate) / self._rate)

    @property
    def fps(self) -> float:
        return float(self._rate / self.every)

    @cached_property
    def count(self) -> int:
        """How many pictures there are, found out by reading all of them once."""
        done = ffmpeg.run(*self._arguments(), "-f", "framecrc", "-")
        return _pictures_listed(done.stdout)

    def frames(self, first: int = 0) -> Iterator[Tensor]:
        """The pictures (1 3 h w) in [0, 1] from number `first` on, 0 being the first; raises VideoError."""
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
                        raise VideoError(
                            f"{self.path} is damaged: it ends at picture {number} of {self.count}"
                        )
                    pixels = torch.frombuffer(data, dtype=torch.uint8).view(self.height, self.width, channels)
                    yield _over_white(rearrange(pixels, "h w c -> 1 c h w") / 255)
            finally:
                source.kill()

    def _probe(self) -> None:
        """Size, rate, look and sound, as ffmpeg tells them of the first picture."""
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
        """What ffmpeg lists of the first picture, and what it says meanwhile; raises VideoError."""
        arguments = [*self._input(self.begin), "-vf", filters, "-frames:v", "1", "-f", "framecrc", "-"]
        done = ffmpeg.run(*arguments, loglevel="info")
        about, said = done.stdout.decode(), done.stderr.decode(errors="replace")
        if "#dimensions 0:" not in about:
            why = (
                "it has no pictures"
                if "Input #0" in said and not done.stdout
                else ffmpeg.complaint(done.stderr)
            )
            raise VideoError(f"{self.path} is no video that can be read: {why}")
        if not _pictures_listed(done.stdout):
            raise VideoError(f"{self.path} has no picture from {self.begin:g} s on; begin earlier")
        return about, said

    def _input(self, begin: float) -> list[str | Path]:
        end = [] if self.end is None else ["-to", f"{self.end:f}"]
        # Where it needn't seek it shouldn't: it can't in a WebP.
        start = ["-ss", f"{begin:f}"] if begin else []
        return [*start, *end, *self._look.decoder, "-i", self.path, "-map", "0:v:0"]

    def _arguments(self, first: int = 0, look: Sequence[str] = ()) -> list[str | Path]:
        """ffmpeg's arguments for reading from number `first` on, with filters for the look of what is taken.

        It seeks by the source's key pictures, and drops what lies before the time that it was sent to. So it is sent a
        second too early, and what is too early is counted: no rounding of times decides which picture comes first.
        """
        skipped = first * self.every
        early = skipped if self.path.suffix.lower() == ".webp" else min(skipped, ceil(self._rate))
        begin = self.begin + float((skipped - early) / self._rate)
        chosen = f"gte(n,{early})*not(mod(n-{early},{self.every}))"
        filters = [f"fps={self._rate}:start_time=0", f"select='{chosen}'", *look]
        return [*self._input(begin), "-vf", ",".join(filters), "-fps_mode", "passthrough"]


def _over_white(image: Tensor) -> Tensor:
    """A picture (1 3|4 h w), over white where it has an alpha channel."""
    if image.shape[1] == 3:
        return image
    colours, alpha = image[:, :3], image[:, 3:]
    return colours * alpha + (1 - alpha)


def _rate(about: str, said: str) -> Fraction:
    """Pictures a second: ffmpeg's guess at the rate behind a source's times, or their mean where that is far less.

    Of an animation of two pictures it tells no mean, and guesses at its clock's rate: there the first's time counts.
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
