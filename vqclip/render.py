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
from torch import Tensor

from vqclip.canvas import Canvas
from vqclip.economy import plain_shortages
from vqclip.errors import UsageError
from vqclip.film import Frame
from vqclip.media import to_pil
from vqclip.optimize import Step, Studio, optimize
from vqclip.pipeline import Pipeline
from vqclip.projector import project
from vqclip.run import Run
from vqclip.schema import Config
from vqclip.state import State
from vqclip.video import check_encoder

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
    frames: int = 1

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
        } | ({"frames": self.frames} if self.config.is_film else {})


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
    """Paint what a Config says, on from where its Run stands; raises Interrupted (SIGINT, SIGTERM) and OutOfMemory.

    A still needs no Run; a film does, and raises UsageError without one.
    """
    if config.is_film and run is None:
        raise UsageError("a film's frames need a folder; name one, as in runs='runs'")
    with plain_shortages(), run.held() if run else nullcontext(), _stop_signals() as received:
        return _Rendering(config, pipeline, run, listeners, received).go()


class _Rendering:
    """One call of `render`: its frames one after the other, and what is saved on the way."""

    def __init__(
        self,
        config: Config,
        pipeline: Pipeline,
        run: Run | None,
        listeners: Sequence[Listener],
        received: list[int],
    ):
        self.config, self.pipeline, self.run = config, pipeline, run
        self.listeners, self.received, self.film = listeners, received, pipeline.film
        self.began = self.saved = time.monotonic()
        self.last: Step | None = None

    def go(self) -> Painting:
        if self.run and self.config.is_film:
            check_encoder(self.run.video)  # now, not when everything is painted
        state = self.run.restore(self.pipeline.make_optimizer, self.pipeline.device) if self.run else None
        index = state.frame if state else 0
        while True:
            frame = self.film.frame(index)
            studio, state = self.stand(frame, state)
            self.paint(frame, studio, state)
            is_whole = not self.received or state.step == frame.steps
            if is_whole and self.config.is_film:
                self.show(frame, studio, state)
            index += 1
            if self.received and not (is_whole and index == self.film.painted):
                raise Interrupted(self.received[0], self.painting(studio, state))
            if index == self.film.painted:
                return self.finish(self.painting(studio, state))

    def stand(self, frame: Frame, state: State | None) -> tuple[Studio, State]:
        """What a frame is painted with, and the State to paint it from, be it begun or not."""
        studio = self.pipeline.studio(frame, self.config.seed)
        if state is None:
            return studio, self.pipeline.begin(frame, studio)
        return studio, self.pipeline.go_on(state, frame, studio) if state.frame < frame.index else state

    def paint(self, frame: Frame, studio: Studio, state: State) -> None:
        """A frame's steps, until it is done or a signal comes."""
        for step in optimize(frame, studio, state):
            self.last = step
            for listener in self.listeners:
                listener.step(step)
            if self.run and step.index % LOG_EVERY == 0:
                self.run.log(step.frame, step.index, numbers(step))
            is_time = self.received or time.monotonic() - self.saved > SNAPSHOT_EVERY
            if self.run and step.index < step.steps and is_time:
                self.snapshot(self.run, state)
                self.run.save_image(picture(studio, state))
            if self.received:
                return

    def show(self, frame: Frame, studio: Studio, state: State) -> None:
        """Keep a frame, and make the pictures that only waited for it."""
        assert self.run
        self.run.keep(frame.index, state.latent.mean)
        for number in self.film.ready(frame.index):
            z = self.run.reel.mix(self.film.blend(number)).to(self.pipeline.device)
            self.run.save_picture(number, draw(studio.canvas, z))
        self.snapshot(self.run, state)

    def snapshot(self, run: Run, state: State) -> None:
        run.snapshot(state)
        self.saved = time.monotonic()

    def painting(self, studio: Studio, state: State) -> Painting:
        return Painting(
            image=picture(studio, state),
            config=self.config,
            steps=self.film.steps_before(state.frame) + state.step,
            seconds=time.monotonic() - self.began,
            losses=numbers(self.last) if self.last else {},
            folder=self.run.folder if self.run else None,
            frames=self.film.shown,
        )

    def finish(self, painting: Painting) -> Painting:
        """Write the end of a run; what says that it is finished comes last."""
        if run := self.run:
            if self.last and self.last.index % LOG_EVERY:
                run.log(self.last.frame, self.last.index, painting.losses)
            if self.config.is_film:
                project(run, run.video)
            else:
                run.save_image(painting.image)
            run.finish(painting.record)
        return painting


def numbers(step: Step) -> dict[str, float]:
    """A step's losses as numbers; the device is waited for."""
    return {name: float(loss) for name, loss in step.losses.items()}


def picture(studio: Studio, state: State) -> Image.Image:
    """The picture that a State stands for: that of the latent's running mean, where one is kept."""
    return draw(studio.canvas, state.latent.mean if studio.average > 0 else state.latent.z)


@torch.no_grad()
def draw(canvas: Canvas, z: Tensor) -> Image.Image:
    """The picture of a latent (1 d y x), as it is shown."""
    return to_pil(canvas.draw_shown(z))


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
