"""From a Config to its picture: the frames, the loop, and those who listen to it."""

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image

from vqclip.film import film
from vqclip.media import to_pil
from vqclip.optimize import Step, Studio, optimize
from vqclip.pipeline import Pipeline
from vqclip.run import Run
from vqclip.schema import Config
from vqclip.state import State

SNAPSHOT_EVERY = 20.0  # seconds
LOG_EVERY = 10  # steps: reading a loss waits for the device


@dataclass(frozen=True)
class Painting:
    """A finished picture and what became of the making of it."""

    image: Image.Image
    config: Config
    steps: int
    seconds: float
    losses: dict[str, float]
    folder: Path | None = None

    @property
    def seed(self) -> int:
        return self.config.seed

    @property
    def record(self) -> dict[str, Any]:
        """The making of it as plain data."""
        return {
            "seed": self.seed,
            "prompt": " | ".join(self.config.prompts),
            "steps": self.steps,
            "seconds": round(self.seconds, 2),
            "losses": {name: round(loss, 4) for name, loss in self.losses.items()},
        }


class Interrupted(Exception):  # noqa: N818  # no error: the work is kept, and goes on when asked
    """A signal ended the loop at a step's end; the picture so far is in `painting`."""

    def __init__(self, number: int, painting: Painting):
        super().__init__(signal.Signals(number).name)
        self.number, self.painting = number, painting


class Listener(Protocol):
    """Hears of every step, as it happens."""

    def step(self, step: Step) -> None: ...


def render(
    config: Config, pipeline: Pipeline, run: Run | None = None, listeners: Sequence[Listener] = ()
) -> Painting:
    """Paint what a Config says, on from where its Run stands; raises Interrupted after SIGINT or SIGTERM."""
    with run.held() if run else nullcontext(), _stop_signals() as received:
        return _render(config, pipeline, run, listeners, received)


def _render(
    config: Config, pipeline: Pipeline, run: Run | None, listeners: Sequence[Listener], received: list[int]
) -> Painting:
    began = saved = time.monotonic()
    (frame,) = film(config)
    studio = pipeline.studio(frame, config.seed)
    state = run.restore(pipeline.make_optimizer, pipeline.device) if run else None
    state = state or pipeline.begin(frame, studio)
    last: Step | None = None
    for last in optimize(frame, studio, state):
        for listener in listeners:
            listener.step(last)
        if run and last.index % LOG_EVERY == 0:
            run.log(last.frame, last.index, numbers(last))
        if run and last.index < last.steps and (received or time.monotonic() - saved > SNAPSHOT_EVERY):
            run.snapshot(state)
            run.save_image(picture(studio, state))
            saved = time.monotonic()
        if received:
            break
    painting = Painting(
        image=picture(studio, state),
        config=config,
        steps=state.step,
        seconds=time.monotonic() - began,
        losses=numbers(last) if last else {},
        folder=run.folder if run else None,
    )
    if received and state.step < frame.steps:
        raise Interrupted(received[0], painting)
    if run:
        _finish(run, painting, last)
    return painting


def _finish(run: Run, painting: Painting, last: Step | None) -> None:
    """Write the end of a run; what says that it is finished comes last."""
    if last and last.index % LOG_EVERY:
        run.log(last.frame, last.index, painting.losses)
    run.save_image(painting.image)
    run.finish(painting.record)


def numbers(step: Step) -> dict[str, float]:
    """A step's losses as numbers; the device is waited for."""
    return {name: float(loss) for name, loss in step.losses.items()}


@torch.no_grad()
def picture(studio: Studio, state: State) -> Image.Image:
    """The picture that a State stands for: that of the latent's running mean, where one is kept."""
    return to_pil(studio.canvas.draw(state.latent.mean if studio.average > 0 else state.latent.z))


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM instead of dying of them; a second one is obeyed at once.

    Python delivers signals to the main thread alone; elsewhere the list stays empty.
    """
    received: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]

    def restore() -> None:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)

    def note(number: int, _: object) -> None:
        received.append(number)
        restore()

    for number in numbers:
        signal.signal(number, note)
    try:
        yield received
    finally:
        restore()
