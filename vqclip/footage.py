"""Videos in: pictures at a constant rate, streamed, from any of them on."""

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from math import ceil
from pathlib import Path
from subprocess import DEVNULL, PIPE

import torch
from einops import rearrange
from torch import Tensor

from vqclip import ffmpeg
from vqclip.errors import VideoError


class Footage:
    """The pictures of a video from `begin` to `end` (seconds; None: to its end), each `every`th of them.

    They come upright and at a constant rate: where the source's own varies, pictures are repeated or left out such that
    each is shown at its time. Raises VideoError if the file can't be read as a video, or has none in that range.
    """

    def __init__(self, path: Path, begin: float = 0.0, end: float | None = None, every: int = 1):
        if begin < 0 or every < 1 or (end is not None and end <= begin):
            raise VideoError(
                f"{path}: there is nothing from {begin:g} s to {end} s, each {every}th; begin earlier"
            )
        self.path, self.begin, self.end, self.every = path, begin, end, every
        self._probe()
        # On the source's own raster, so that no rounding decides which picture is the first.
        self.begin = float(round(begin * self._rate) / self._rate)

    @property
    def fps(self) -> float:
        return float(self._rate / self.every)

    @cached_property
    def count(self) -> int:
        """How many pictures there are, found out by reading all of them once."""
        done = ffmpeg.run(*self._pictures(), "-f", "framecrc", "-")
        return _pictures_listed(done.stdout)

    def frames(self, first: int = 0) -> Iterator[Tensor]:
        """The pictures (1 3 h w) in [0, 1] from number `first` on, 0 being the first; raises VideoError."""
        output = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
        source = ffmpeg.start(*self._pictures(first), *output, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL)
        with source:
            assert source.stdout
            try:
                for number in range(first, self.count):
                    data = bytearray(source.stdout.read(3 * self.width * self.height))
                    if len(data) < 3 * self.width * self.height:
                        raise VideoError(
                            f"{self.path} is damaged: it ends at picture {number} of {self.count}"
                        )
                    pixels = torch.frombuffer(data, dtype=torch.uint8).view(self.height, self.width, 3)
                    yield rearrange(pixels, "h w c -> 1 c h w") / 255
            finally:
                source.kill()

    def _probe(self) -> None:
        """Size, rate and sound, as ffmpeg tells them of the first picture."""
        done = ffmpeg.run(*self._input(self.begin), "-frames:v", "1", "-f", "framecrc", "-", loglevel="info")
        about, said = done.stdout.decode(), done.stderr.decode(errors="replace")
        size = re.search(r"#dimensions 0: (\d+)x(\d+)", about)
        if not size:
            why = "it has no pictures" if "Input #0" in said else ffmpeg.complaint(done.stderr)
            raise VideoError(f"{self.path} is no video that can be read: {why}")
        if not _pictures_listed(done.stdout):
            raise VideoError(f"{self.path} has no picture from {self.begin:g} s on; begin earlier")
        self.width, self.height = int(size[1]), int(size[2])
        self.has_sound = bool(re.search(r"^ *Stream #0.*: Audio: ", said, re.MULTILINE))
        self._rate = _rate(about, said)

    def _input(self, begin: float) -> list[str | Path]:
        end = [] if self.end is None else ["-to", f"{self.end:f}"]
        # Where it needn't seek it shouldn't: it can't in a WebP.
        start = ["-ss", f"{begin:f}"] if begin else []
        return [*start, *end, "-i", self.path, "-map", "0:v:0"]

    def _pictures(self, first: int = 0) -> list[str | Path]:
        """ffmpeg's arguments for reading from number `first` on.

        It seeks by the source's key pictures, and drops what lies before the time that it was sent to. So it is sent a
        second too early, and what is too early is counted: no rounding of times decides which picture comes first.
        """
        skipped = first * self.every
        early = skipped if self.path.suffix.lower() == ".webp" else min(skipped, ceil(self._rate))
        begin = self.begin + float((skipped - early) / self._rate)
        chosen = f"gte(n,{early})*not(mod(n-{early},{self.every}))"
        filters = f"fps={self._rate}:start_time=0,select='{chosen}'"
        return [*self._input(begin), "-vf", filters, "-fps_mode", "passthrough"]


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
