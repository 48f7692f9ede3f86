"""Write videos: stream frames to an encoder. The file is written whole or not at all."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain, repeat
from pathlib import Path
from subprocess import DEVNULL, PIPE
from types import TracebackType
from typing import IO, Any, Protocol, Self

import numpy as np
from PIL import Image, ImageOps

from vqclip.base.errors import UsageError, VideoError
from vqclip.base.files import check_target, make_folder, scratch
from vqclip.media import ffmpeg, video_metadata
from vqclip.media.image import load_image, to_pil
from vqclip.media.video_metadata import Sound

# libwebp gives each image away as soon as it is encoded, where libwebp_anim keeps all of them to the end.
ENCODERS = {".mp4": "libx264", ".gif": "gif", ".webp": "libwebp"}
# yuv420p is what every player knows; without the tags of BT.709, players guess at the colours.
_COLOURS = (
    "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p,"
    "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709"
)
# A palette for each image: one for all of them would need all of them in memory first. A GIF counts hundredths of a
# second, and what stands for a single one is shown far too slowly.
_PALETTES = "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1"
_FASTEST_GIF = 50
_OPTIONS = {
    ".mp4": ["-vf", _COLOURS, "-crf", "17"],
    ".gif": ["-vf", _PALETTES, "-loop", "0"],
    ".webp": ["-quality", "90", "-loop", "0"],
}


def check_encoder(path: Path) -> None:
    """Check, before any work is done, that a video could be written.

    Raises UsageError for its name or folder, VideoError for a missing or broken ffmpeg.
    """
    if path.suffix.lower() not in ENCODERS:
        raise UsageError(
            f"{path}: videos are saved as .mp4, .gif or .webp; name it {path.stem or 'video'}.mp4"
        )
    check_target(path, "video.mp4")
    ffmpeg.check(ENCODERS[path.suffix.lower()])


class VideoWriter:
    """Stream frames to an encoder. The video appears under its name if the `with` block ends without an error.

    `metadata` and `title` go inside the file, and `sound` into an MP4. Frames of another size than `width` x `height`
    are scaled to cover it. Raises VideoError, and what `check_encoder` raises.
    """

    def __init__(
        self, path: Path, width: int, height: int, fps: float, metadata: Mapping[str, Any], title: str,
        sound: Sound | None = None,
    ):  # fmt: skip
        self.path, self.size, self.fps, self.sound = path, (width, height), fps, sound
        self.metadata, self.title = metadata, title
        self.kind = path.suffix.lower()
        self.count = 0
        # H.264 halves the colours of both directions, and so takes even sides only.
        even = 2 if self.kind == ".mp4" else 1
        self._padding = [(0, -height % even), (0, -width % even), (0, 0)]

    def __enter__(self) -> Self:
        self._session = self._encoding()
        return self._session.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.__exit__(kind, error, trace)

    def write(self, image: Image.Image) -> None:
        """Write the next frame. Raises VideoError if the encoder has ended."""
        if image.size != self.size:
            image = ImageOps.fit(image, self.size, Image.Resampling.BICUBIC)
        pixels = np.pad(np.asarray(image.convert("RGB")), self._padding, mode="edge")
        try:
            self._pipe.write(pixels.tobytes())
        except OSError:
            raise self._failure() from None
        self.count += 1

    @contextmanager
    def _encoding(self) -> Iterator[Self]:
        check_encoder(self.path)
        make_folder(self.path)
        with scratch(self.path) as raw, tempfile.TemporaryFile() as self._log:
            with self._start(raw) as self._encoder:
                try:
                    yield self
                    self._end()
                except BaseException:
                    self._encoder.kill()
                    with contextlib.suppress(OSError):
                        self._pipe.close()
                    raise
            seconds = self.count / self.fps
            video_metadata.seal(raw, self.path, seconds, self.metadata, self.title, self.sound)

    def _start(self, raw: Path) -> subprocess.Popen[bytes]:
        (_, below), (_, right), _ = self._padding
        size = f"{self.size[0] + right}x{self.size[1] + below}"
        slower = ["-r", f"{_FASTEST_GIF}"] if self.kind == ".gif" and self.fps > _FASTEST_GIF else []
        return ffmpeg.start(
            "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", rate(self.fps), "-i", "-",
            "-c:v", ENCODERS[self.kind], *_OPTIONS[self.kind], *slower, "-f", self.kind[1:], raw,
            stdin=PIPE, stdout=DEVNULL, stderr=self._log.fileno(),
        )  # fmt: skip

    @property
    def _pipe(self) -> IO[bytes]:
        assert self._encoder.stdin
        return self._encoder.stdin

    def _end(self) -> None:
        if not self.count:
            raise VideoError(f"{self.path}: there are no frames, and a video needs at least one")
        try:
            self._pipe.close()
        except OSError:
            raise self._failure() from None
        if self._encoder.wait():
            raise self._failure()

    def _failure(self) -> VideoError:
        """Return the encoder's error."""
        self._encoder.wait()
        self._log.seek(0)
        return VideoError(f"{self.path} can't be written: {ffmpeg.complaint(self._log.read())}")


class Images(Protocol):
    """A sequence of images or of their files, such as a list of paths."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Path | Image.Image: ...


def assemble(
    frames: Images, path: Path, fps: float, metadata: Mapping[str, Any], title: str,
    *, size: tuple[int, int] | None = None, hold: float = 0.0, forth_and_back: bool = False,
    sound: Sound | None = None,
) -> None:  # fmt: skip
    """Write a video of images, which are read one at a time. Raises what VideoWriter raises, and ImageError.

    The video has the size of the last image unless one is given. The last image stays for `hold` seconds. After that,
    `forth_and_back` shows the others in reverse, without the first, with which a player that loops starts again.
    """
    if not frames:
        raise VideoError(f"{path}: there are no images to make a video of")
    last = len(frames) - 1
    order = chain(
        range(last), repeat(last, 1 + round(hold * fps)), range(last - 1, 0, -1) if forth_and_back else ()
    )
    width, height = size or open_frame(frames[last]).size
    with VideoWriter(path, width, height, fps, metadata, title, sound) as video:
        for i in order:
            video.write(open_frame(frames[i]))


def open_frame(frame: Path | Image.Image) -> Image.Image:
    """Return an image as it is, or read it from its file. Raises ImageError."""
    return frame if isinstance(frame, Image.Image) else to_pil(load_image(frame))


def rate(fps: float) -> str:
    """Return a rate as a fraction, as ffmpeg takes it: 29.97… is 30000/1001."""
    return str(Fraction(fps).limit_denominator(1001))
