"""What happens while images are made, as plain records: `vqclip.events`.

A picture's events begin with Started and end with Finished or Stopped, once each. Errors are raised, except in a batch,
where a job that can't be done ends with Failed and the others go on.
"""

import io
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from vqclip.base.errors import VqclipError
from vqclip.config.schema import Config
from vqclip.guidance.optimize import Step


@dataclass(frozen=True)
class Result:
    """A picture or a film, and how it was made: `steps` taken, `seconds`, and the last step's losses by name.

    `folder` is its run folder, or None where nothing was written. `frames` counts a film's images.

    >>> result = vqclip.generate("a red apple", seed=7)  # doctest: +SKIP
    >>> result.image.size, result.seed  # doctest: +SKIP
    ((256, 256), 7)
    """

    config: Config
    steps: int
    seconds: float
    losses: dict[str, float]
    folder: Path | None = None
    frames: int = 1
    picture: Image.Image | None = None  # None: it lies in the run folder

    @property
    def seed(self) -> int:
        """The seed; with the same config it gives the same image."""
        return self.config.seed

    @property
    def image(self) -> Image.Image:
        """The picture in RGB, a film's last one; read from the run folder where it isn't at hand."""
        if self.picture is not None:
            return self.picture
        assert self.folder
        with Image.open(self.folder / "image.png") as image:
            return image.convert("RGB")

    @property
    def record(self) -> dict[str, Any]:
        """The making of it as plain data."""
        return {
            "seed": self.seed,
            "prompt": " | ".join(self.config.prompts),
            "steps": self.steps,
            "seconds": round(self.seconds, 2),
            "losses": {name: round(loss, 4) for name, loss in self.losses.items()},
        } | ({"frames": self.frames} if self.config.is_film else {})

    @classmethod
    def of_record(cls, config: Config, folder: Path, record: dict[str, Any]) -> "Result":
        """The Result of a run that was finished before."""
        numbers = {name: record.get(name, 0) for name in ("steps", "seconds")}
        return cls(
            config, **numbers, losses=record.get("losses", {}), folder=folder, frames=record.get("frames", 1)
        )

    def _repr_png_(self) -> bytes:
        """The image as PNG, which notebooks show."""
        data = io.BytesIO()
        self.image.save(data, format="PNG")
        return data.getvalue()


@dataclass(frozen=True)
class Started:
    """Work on a picture begins, or goes on, in its run folder if it has one."""

    config: Config
    folder: Path | None


@dataclass(frozen=True)
class Stepped:
    """A step was taken. `done` of `steps` steps are behind it, in all `frames` of a film; `step.image` is its image.

    `step.losses` are tensors of the device: reading them waits for it, as `numbers` does.
    """

    step: Step
    done: int
    steps: int
    frames: int = 1

    @property
    def numbers(self) -> dict[str, float]:
        """The losses by name as numbers; the device is waited for."""
        return numbers(self.step)


@dataclass(frozen=True)
class Progressed:
    """A job's step as plain numbers, now and then: what a Stepped says where it must travel."""

    step: int
    steps: int
    losses: dict[str, float]


@dataclass(frozen=True)
class ImageSaved:
    """The picture so far, or the finished one, lies at `path`."""

    path: Path


@dataclass(frozen=True)
class FrameSaved:
    """Image `number` of a film, counted from 0, lies at `path`."""

    path: Path
    number: int


@dataclass(frozen=True)
class VideoSaved:
    """A video lies at `path`: a still's progress video, or a film's that was made again."""

    path: Path


@dataclass(frozen=True)
class Finished:
    """A picture or a film is finished; `is_new` is False where it was finished before."""

    result: Result
    is_new: bool = True


@dataclass(frozen=True)
class Stopped:
    """A StopToken ended the work after `result.steps` of `steps`; `Session.resume(result.folder)` goes on."""

    result: Result
    steps: int


@dataclass(frozen=True)
class Failed:
    """A job of a batch can't be done, for this `cause`; its run folder may not be there."""

    cause: str
    folder: Path | None = None


@dataclass(frozen=True)
class Ranked:
    """A picture of `best_of` in its place, 1 for the best. `score` is its likeness to its prompts, from -1 to 1."""

    result: Result
    score: float
    rank: int
    is_kept: bool


@dataclass(frozen=True)
class Differs:
    """Something that a picture depends on was `then` when it was made, and is `now` when it is reproduced."""

    key: str
    then: Any
    now: Any


@dataclass(frozen=True)
class Compared:
    """A reproduced picture beside the first: the `share` of pixels that differ, by `most` of 1 at most."""

    result: Result
    share: float
    most: float

    @property
    def is_same(self) -> bool:
        """Whether all pixels are equal."""
        return self.share == 0


Event = (
    Started
    | Stepped
    | Progressed
    | ImageSaved
    | FrameSaved
    | VideoSaved
    | Finished
    | Stopped
    | Failed
    | Ranked
    | Differs
    | Compared
)
Events = Generator[Event, None, None]


def numbers(step: Step) -> dict[str, float]:
    """A step's losses as numbers; the device is waited for."""
    return dict(zip(step.losses, torch.stack(list(step.losses.values())).tolist(), strict=True))


def results(events: Iterable[Any]) -> Iterator[Result]:
    """Iterate to the end, and give the result of each picture, stopped ones too."""
    return (event.result for event in events if isinstance(event, Finished | Stopped))


def result(events: Iterable[Any]) -> Result:
    """Iterate to the end, and return the last picture's result, so far as it is painted.

    >>> result(Session().generate("a red apple")).image.show()  # doctest: +SKIP
    """
    found = list(results(events))
    if not found:
        raise VqclipError("nothing was painted")
    return found[-1]
