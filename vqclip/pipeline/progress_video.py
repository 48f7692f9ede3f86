"""Make the progress video: keep each step's image during a run, and make a video of them at its end."""

import io
import json
import mmap
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from vqclip.base.errors import RunError, UsageError, VideoError
from vqclip.base.files import write_text
from vqclip.guidance.optimize import Step
from vqclip.media import ffmpeg
from vqclip.media.image import load_image, to_pil
from vqclip.media.video_writer import ENCODERS, assemble
from vqclip.pipeline.events import Events, Finished, Stepped, VideoSaved
from vqclip.runs.run import Run, image_metadata, writing

SETTINGS, MJPEG, VIDEO = "video.json", "progress.mjpeg", "progress"
SLOWEST, FASTEST = 10.0, 60.0  # images per second, where the user asks for a length
LONGEST_HOLD = 3600.0  # seconds


@dataclass(frozen=True, kw_only=True)
class VideoSettings:
    """Hold the settings of a progress video; they don't change the image, so a Config doesn't have them."""

    kind: str = ".mp4"
    file: str | None = None  # a copy goes there, besides the run folder
    seconds: float = 10.0
    fps: float | None = None  # None: it follows from `seconds`
    hold: float = 1.0  # seconds
    forth_and_back: bool = False

    def __post_init__(self) -> None:
        paces = (self.seconds, SLOWEST if self.fps is None else self.fps)
        if self.kind not in ENCODERS or min(paces) <= 0 or not 0 <= self.hold <= LONGEST_HOLD:
            raise UsageError(
                f"a video's seconds and fps are more than 0, its hold is 0 to {LONGEST_HOLD:g}, "
                f"its kind one of {', '.join(ENCODERS)}"
            )

    @property
    def name(self) -> str:
        """Name its file in the run folder."""
        return VIDEO + self.kind

    def rate_for(self, images: int) -> float:
        """Give the images per second of a video of `count` images."""
        shown = 2 * images - 2 if self.forth_and_back else images
        return self.fps or min(max(shown / self.seconds, SLOWEST), FASTEST)


class MjpegFile:
    """Append images to a Motion JPEG file; if the process is killed, only the last image can be damaged."""

    def __init__(self, path: Path):
        self.path = path
        self._ends = [0, *_ends(path)]
        self.cut(len(self))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> Image.Image:
        with self.path.open("rb") as file:
            file.seek(self._ends[index])
            return Image.open(io.BytesIO(file.read(self._ends[index + 1] - self._ends[index])))

    def append(self, image: Image.Image) -> None:
        data = io.BytesIO()
        image.save(data, format="JPEG", quality=95, subsampling=0)
        with self.path.open("ab") as file:
            file.write(data.getvalue())
        self._ends.append(self._ends[-1] + len(data.getvalue()))

    def cut(self, count: int) -> None:
        """Cut the file after its first images, and drop an incomplete one."""
        del self._ends[count + 1 :]
        if self.path.is_file():
            os.truncate(self.path, self._ends[-1])


class Recorder:
    """Record the images of a Run's steps. Raises VideoError at once if no video can be made."""

    def __init__(self, run: Run, settings: VideoSettings):
        ffmpeg.check(ENCODERS[settings.kind])
        self.run, self.settings = run, settings
        with _writing(run.folder):
            self.images = MjpegFile(run.folder / MJPEG)

    @classmethod
    def of(cls, run: Run) -> "Recorder | None":
        """Make the recorder of a run for which `request_video` was called, or give None."""
        settings = read_settings(run.folder)
        return cls(run, settings) if settings else None

    def step(self, step: Step) -> None:
        with _writing(self.run.folder):
            self.images.cut(
                step.index - 1
            )  # the file may have more images, if the run goes on from an older snapshot
            self.images.append(to_pil(step.image))

    def finish(self) -> Path:
        """Make the video of a finished run, which ends with its image; raises VideoError, and then keeps the images."""
        run, video = self.run, self.run.folder / self.settings.name
        record = run.record()
        if record is None or not self.images.path.is_file():  # made before
            return video
        with run.held(), _writing(run.folder):
            self.images.cut(record["steps"])
            self.images.append(to_pil(load_image(run.image)))
            fps, config = self.settings.rate_for(len(self.images)), run.config
            metadata, title = image_metadata(config, run.metadata), " | ".join(config.prompts)
            try:
                assemble(
                    self.images, video, fps, metadata, title, size=(config.width, config.height),
                    hold=self.settings.hold, forth_and_back=self.settings.forth_and_back,
                )  # fmt: skip
            except VideoError as error:
                raise VideoError(
                    f"{error}; the image is in {run.image}; again: vqclip resume {run.folder}"
                ) from None
            self.images.path.unlink()
        return video


def recorded(runs: Sequence[Run], events: Events) -> Events:
    """Pass events on, and record the steps of those of `runs` that have a video requested.

    At the end, yield a VideoSaved for each video. After an interruption, a later call makes the videos.
    """
    recorders = {run.config.seed: recorder for run in runs if (recorder := Recorder.of(run))}
    finished = []
    for event in events:
        match event:
            case Stepped(step=step) if step.seed in recorders:
                recorders[step.seed].step(step)
            case Finished(result=made) if made.seed in recorders:
                finished.append(recorders[made.seed])
        yield event
    for recorder in finished:
        yield VideoSaved(recorder.finish())


def request_video(run: Run, settings: VideoSettings) -> None:
    """Write the settings of the video that a run is to make into its folder."""
    with _writing(run.folder):
        write_text(run.folder / SETTINGS, json.dumps(asdict(settings), indent=2) + "\n")


def read_settings(folder: Path) -> VideoSettings | None:
    """Read the settings of the video that a run folder is to make, if any; raises RunError."""
    path = folder / SETTINGS
    if not path.is_file():
        return None
    try:
        return VideoSettings(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, UsageError) as error:
        raise RunError(f"{path} is unusable: {error}; delete it to go on without a video") from None


def _ends(path: Path) -> Iterator[int]:
    """Yield the offsets at which the images of a Motion JPEG end.

    The bytes of an end marker occur nowhere else: coded pixels have a zero after each 255, and the tables and sizes
    before them have no 255.
    """
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield from (mark.end() for mark in re.finditer(b"\xff\xd9", data))


def _writing(folder: Path) -> AbstractContextManager[None]:
    return writing(folder, f"make it writable, then: vqclip resume {folder}")
