"""The progress video: every step's picture is kept while a painting comes about, and a video is made of them."""

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
SLOWEST, FASTEST = 10.0, 60.0  # pictures a second, where a length is asked for
LONGEST_HOLD = 3600.0  # seconds


@dataclass(frozen=True, kw_only=True)
class VideoSettings:
    """What is asked of a progress video; it doesn't touch the picture, and so is no part of a Config."""

    kind: str = ".mp4"
    file: str | None = None  # where it goes besides the run folder
    seconds: float = 10.0
    fps: float | None = None  # None: whatever suits the seconds
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
        """Its file in the run folder."""
        return VIDEO + self.kind

    def rate_for(self, images: int) -> float:
        """Pictures a second of a video of so many."""
        shown = 2 * images - 2 if self.forth_and_back else images
        return self.fps or min(max(shown / self.seconds, SLOWEST), FASTEST)


class MjpegFile:
    """Pictures one after the other in a file, as Motion JPEG: a process that is killed harms none but the last."""

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
        """Keep the first pictures, so many of them, and nothing of one that is not whole."""
        del self._ends[count + 1 :]
        if self.path.is_file():
            os.truncate(self.path, self._ends[-1])


class Recorder:
    """Keeps the pictures of a Run's steps. Raises VideoError, at once, where no video can be made."""

    def __init__(self, run: Run, settings: VideoSettings):
        ffmpeg.check(ENCODERS[settings.kind])
        self.run, self.settings = run, settings
        with _writing(run.folder):
            self.images = MjpegFile(run.folder / MJPEG)

    @classmethod
    def of(cls, run: Run) -> "Recorder | None":
        """That of a run for which `request_video` has asked."""
        settings = read_settings(run.folder)
        return cls(run, settings) if settings else None

    def step(self, step: Step) -> None:
        with _writing(self.run.folder):
            self.images.cut(step.index - 1)  # more than that, where painting goes on from an older snapshot
            self.images.append(to_pil(step.image))

    def finish(self) -> Path:
        """The video of a finished run, which ends with its picture; raises VideoError, and keeps what it is made of."""
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
                    self.images, video, fps, metadata, title,
                    hold=self.settings.hold, forth_and_back=self.settings.forth_and_back,
                )  # fmt: skip
            except VideoError as error:
                raise VideoError(
                    f"{error}; the picture is in {run.image}; again: vqclip resume {run.folder}"
                ) from None
            self.images.path.unlink()
        return video


def recorded(runs: Sequence[Run], events: Events) -> Events:
    """Pass events on, and keep the steps of those of `runs` that have asked for a video.

    The videos follow in the end, each as a VideoSaved; an interruption before leaves them to be made later.
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
    """Remember, as long as the run folder is there, that a video is wanted."""
    with _writing(run.folder):
        write_text(run.folder / SETTINGS, json.dumps(asdict(settings), indent=2) + "\n")


def read_settings(folder: Path) -> VideoSettings | None:
    """What video was asked for in a run folder, if any; raises RunError."""
    path = folder / SETTINGS
    if not path.is_file():
        return None
    try:
        return VideoSettings(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, UsageError) as error:
        raise RunError(f"{path} is unusable: {error}; delete it to go on without a video") from None


def _ends(path: Path) -> Iterator[int]:
    """Where the pictures of a Motion JPEG end.

    The mark of an end stands nowhere else: coded pixels have a zero behind each 255, and the tables and sizes in front
    of them hold none.
    """
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield from (mark.end() for mark in re.finditer(b"\xff\xd9", data))


def _writing(folder: Path) -> AbstractContextManager[None]:
    return writing(folder, f"make it writable, then: vqclip resume {folder}")
