"""Define the events that a Session yields, as plain records: `vqclip.events`.

An image's events begin with one Started and end with one Finished or Stopped. Errors are raised, except in a batch:
there a job that fails ends with Failed, and the others go on.
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
from vqclip.media.image import to_pil


@dataclass(frozen=True)
class Result:
    """Hold an image or a film, the `steps` and `seconds` that it took, and the last step's losses by name.

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
    picture: Image.Image | None = None  # None: read it from the run folder

    @property
    def seed(self) -> int:
        """Give the seed; with the same config it gives the same image."""
        return self.config.seed

    @property
    def image(self) -> Image.Image:
        """Give the image in RGB, or RGBA if it is transparent; a film's is its last one. It is read if need be."""
        if self.picture is not None:
            return self.picture
        assert self.folder
        with Image.open(self.folder / "image.png") as image:
            return image.copy()

    @property
    def record(self) -> dict[str, Any]:
        """Give seed, prompt, steps, seconds and losses as plain data."""
        return {
            "seed": self.seed,
            "prompt": " | ".join(self.config.prompts),
            "steps": self.steps,
            "seconds": round(self.seconds, 2),
            "losses": {name: round(loss, 4) for name, loss in self.losses.items()},
        } | ({"frames": self.frames} if self.config.is_film else {})

    @classmethod
    def of_record(cls, config: Config, folder: Path, record: dict[str, Any]) -> "Result":
        """Make the Result of a run that was finished earlier, from its record."""
        numbers = {name: record.get(name, 0) for name in ("steps", "seconds")}
        return cls(
            config, **numbers, losses=record.get("losses", {}), folder=folder, frames=record.get("frames", 1)
        )

    def _repr_png_(self) -> bytes:
        """Encode the image as PNG, which notebooks show."""
        return _png(self.image)


@dataclass(frozen=True)
class Started:
    """Say that an image is begun or continued, in its run folder if it has one."""

    config: Config
    folder: Path | None


@dataclass(frozen=True)
class Stepped:
    """Say that a step was taken: the `done`th of `steps` in all `frames` of a film; `step.image` is its image.

    `step.losses` are tensors on the device. Reading them waits for the device, as `numbers` does.
    """

    step: Step
    done: int
    steps: int
    frames: int = 1

    @property
    def numbers(self) -> dict[str, float]:
        """Read the losses by name as numbers; this waits for the device."""
        return numbers(self.step)

    def _repr_png_(self) -> bytes:
        """Encode the step's image as PNG, which notebooks show."""
        return _png(to_pil(self.step.image))


@dataclass(frozen=True)
class Progressed:
    """Give a batch job's progress as plain numbers, now and then; processes send it in place of Stepped."""

    step: int
    steps: int
    losses: dict[str, float]


@dataclass(frozen=True)
class ImageSaved:
    """Say that the unfinished or finished image was saved at `path`."""

    path: Path


@dataclass(frozen=True)
class FrameSaved:
    """Say that image `number` of a film, counted from 0, was saved at `path`."""

    path: Path
    number: int


@dataclass(frozen=True)
class StillSaved:
    """Say that the image after `step` steps of a frame was saved at `path`, as `save_every` asks."""

    path: Path
    step: int


@dataclass(frozen=True)
class PlateauReached:
    """Say that the loss of image `seed` hasn't improved by `improvement` (a share) for `patience` steps at `step`.

    The learning rate was then multiplied by `factor`, or, where that is None, the frame's steps end.
    """

    seed: int
    frame: int
    step: int
    patience: int
    improvement: float
    factor: float | None

    def __str__(self) -> str:
        why = f"the loss fell by less than {self.improvement:.2%} in {self.patience} steps"
        if self.factor is None:
            return f"stopped early at step {self.step}: {why}"
        return f"learning rate x {self.factor:g} at step {self.step}: {why}"


@dataclass(frozen=True)
class VideoSaved:
    """Say that a video was saved at `path`: a progress video, or a film's video that was made again."""

    path: Path


@dataclass(frozen=True)
class Finished:
    """Say that an image or a film is finished; `is_new` is False if it was finished earlier."""

    result: Result
    is_new: bool = True


@dataclass(frozen=True)
class Stopped:
    """Say that a StopToken ended the work after `result.steps` of `steps`; `Session.resume(result.folder)` goes on."""

    result: Result
    steps: int


@dataclass(frozen=True)
class Failed:
    """Say that a job of a batch failed, and give the `cause`; its run folder may not exist."""

    cause: str
    folder: Path | None = None


@dataclass(frozen=True)
class Ranked:
    """Give the rank of an image of `best_of`, 1 for the best; `score` is its similarity to its prompts, -1 to 1."""

    result: Result
    score: float
    rank: int
    is_kept: bool


@dataclass(frozen=True)
class Differs:
    """Say that `key`, on which an image depends, was `then` when it was made, and is `now` in its reproduction."""

    key: str
    then: Any
    now: Any


@dataclass(frozen=True)
class Compared:
    """Compare a reproduced image with the first: a `share` of the pixels differ, by `most` (of 1) at most."""

    result: Result
    share: float
    most: float

    @property
    def is_same(self) -> bool:
        """Tell whether all pixels are equal."""
        return self.share == 0


Event = (
    Started
    | Stepped
    | Progressed
    | ImageSaved
    | FrameSaved
    | StillSaved
    | PlateauReached
    | VideoSaved
    | Finished
    | Stopped
    | Failed
    | Ranked
    | Differs
    | Compared
)
Events = Generator[Event, None, None]


def _png(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, format="PNG")
    return data.getvalue()


def numbers(step: Step) -> dict[str, float]:
    """Read a step's losses as numbers; this waits for the device."""
    return dict(zip(step.losses, torch.stack(list(step.losses.values())).tolist(), strict=True))


def results(events: Iterable[Any]) -> Iterator[Result]:
    """Iterate to the end, and give the result of each image, stopped ones too."""
    return (event.result for event in events if isinstance(event, Finished | Stopped))


def result(events: Iterable[Any]) -> Result:
    """Iterate to the end, and return the last image's result, finished or stopped.

    >>> result(Session().generate("a red apple")).image.show()  # doctest: +SKIP
    """
    found = list(results(events))
    if not found:
        raise VqclipError("no image was made")
    return found[-1]
