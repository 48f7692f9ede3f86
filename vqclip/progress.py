"""The progress video: every step's picture is kept while a painting comes about, and a video is made of them."""

import io
import json
import mmap
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from vqclip import ffmpeg
from vqclip.errors import RunError, UsageError, VideoError
from vqclip.files import write_text
from vqclip.media import load_picture, to_pil
from vqclip.optimize import Step
from vqclip.run import Run, picture_facts, writing
from vqclip.video import ENCODERS, assemble

WISH, FLIPBOOK, VIDEO = "video.json", "progress.mjpeg", "progress"
SLOWEST, FASTEST = 10.0, 60.0  # pictures a second, where a length is asked for
LONGEST_HOLD = 3600.0  # seconds


@dataclass(frozen=True, kw_only=True)
class VideoWish:
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

    def rate(self, pictures: int) -> float:
        """Pictures a second of a video of so many."""
        shown = 2 * pictures - 2 if self.forth_and_back else pictures
        return self.fps or min(max(shown / self.seconds, SLOWEST), FASTEST)


class Flipbook:
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
    """A Listener that keeps the pictures of a Run's steps. Raises VideoError, at once, where no video can be made."""

    def __init__(self, run: Run, wish: VideoWish):
        ffmpeg.check(ENCODERS[wish.kind])
        self.run, self.wish = run, wish
        with _writing(run.folder):
            self.pictures = Flipbook(run.folder / FLIPBOOK)

    @classmethod
    def of(cls, run: Run) -> "Recorder | None":
        """That of a run for which `ask` has asked."""
        wish = read_wish(run.folder)
        return cls(run, wish) if wish else None

    def step(self, step: Step) -> None:
        with _writing(self.run.folder):
            self.pictures.cut(step.index - 1)  # more than that, where painting goes on from an older snapshot
            self.pictures.append(to_pil(step.picture))

    def finish(self) -> Path:
        """The video of a finished run, which ends with its picture; raises VideoError, and keeps what it is made of."""
        run, video = self.run, self.run.folder / self.wish.name
        record = run.record()
        if record is None or not self.pictures.path.is_file():  # made before
            return video
        with run.held(), _writing(run.folder):
            self.pictures.cut(record["steps"])
            self.pictures.append(to_pil(load_picture(run.image)))
            fps, config = self.wish.rate(len(self.pictures)), run.config
            facts, title = picture_facts(config, run.facts), " | ".join(config.prompts)
            try:
                assemble(
                    self.pictures, video, fps, facts, title,
                    hold=self.wish.hold, forth_and_back=self.wish.forth_and_back,
                )  # fmt: skip
            except VideoError as error:
                raise VideoError(
                    f"{error}; the picture is in {run.image}; again: vqclip resume {run.folder}"
                ) from None
            self.pictures.path.unlink()
        return video


def ask(run: Run, wish: VideoWish) -> None:
    """Remember, as long as the run folder is there, that a video is wanted."""
    with _writing(run.folder):
        write_text(run.folder / WISH, json.dumps(asdict(wish), indent=2) + "\n")


def read_wish(folder: Path) -> VideoWish | None:
    """What video was asked for in a run folder, if any; raises RunError."""
    path = folder / WISH
    if not path.is_file():
        return None
    try:
        return VideoWish(**json.loads(path.read_text(encoding="utf-8")))
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
