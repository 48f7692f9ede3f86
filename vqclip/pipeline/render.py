"""From a Config to its picture: the frames, the loop, and those who listen to it."""

import logging
import math
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor

from vqclip.base.errors import NotFinite, UsageError
from vqclip.config.schema import Config
from vqclip.config.timeline import Frame
from vqclip.guidance.interfaces import Drawer
from vqclip.guidance.memory import plain_shortages
from vqclip.guidance.objective import Objective
from vqclip.guidance.optimize import Step, optimize
from vqclip.guidance.state import State
from vqclip.media.image import to_pil
from vqclip.media.video_writer import check_encoder
from vqclip.pipeline.film_video import write_film
from vqclip.pipeline.pipeline import Pipeline
from vqclip.runs.run import Run

log = logging.getLogger(__name__)

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
    """A signal ended the loop at a step's end; the pictures so far are in `paintings`."""

    def __init__(self, number: int, paintings: Sequence[Painting]):
        super().__init__(signal.Signals(number).name)
        self.number, self.paintings = number, paintings


class Listener(Protocol):
    """Hears of every step, as it happens."""

    def step(self, step: Step) -> None: ...


@dataclass(frozen=True)
class RenderRequest:
    """A picture that is to be painted, where it is kept, and who hears of it."""

    config: Config
    run: Run | None = None
    listeners: Sequence[Listener] = ()


def render(
    config: Config, pipeline: Pipeline, run: Run | None = None, listeners: Sequence[Listener] = ()
) -> Painting:
    """Paint what a Config says, on from where its Run stands; raises Interrupted (SIGINT, SIGTERM) and OutOfMemory.

    A still needs no Run; a film does, and raises UsageError without one.
    """
    if config.is_film and run is None:
        raise UsageError("a film's frames need a folder; name one, as in runs='runs'")
    with plain_shortages(), run.held() if run else nullcontext(), _stop_signals() as received:
        return _Rendering(RenderRequest(config, run, listeners), pipeline).go(received)


def render_batch(requests: Sequence[RenderRequest], pipeline: Pipeline) -> list[Painting]:
    """Paint stills from their beginnings, a step of each at a time; their Configs differ in their seeds alone.

    Raises Interrupted, of all that aren't finished, and OutOfMemory.
    """
    with plain_shortages(), ExitStack() as stack, _stop_signals() as received:
        for request in requests:
            stack.enter_context(request.run.held() if request.run else nullcontext())
        renderings, frame = [_Rendering(request, pipeline) for request in requests], pipeline.film.frame(0)
        for rendering in renderings:
            rendering.prepare(frame)
        by_seed = {rendering.config.seed: rendering for rendering in renderings}
        for steps in optimize(frame, renderings[0].objective, [rendering.state for rendering in renderings]):
            for step in steps:
                by_seed[step.seed].on_step(step)
            if received and steps[0].index < frame.steps:
                for rendering in renderings:
                    rendering.save()
                raise Interrupted(received[0], [rendering.painting() for rendering in renderings])
        return [rendering.finish() for rendering in renderings]


class _Rendering:
    """A picture or a film on its way: its frames one after the other, and what is saved between."""

    objective: Objective
    state: State

    def __init__(self, request: RenderRequest, pipeline: Pipeline):
        self.config, self.run, self.listeners = request.config, request.run, request.listeners
        self.pipeline, self.film = pipeline, pipeline.film
        self.began = self.saved = time.monotonic()
        self.last: Step | None = None

    def go(self, received: list[int]) -> Painting:
        """Paint all there is; `received` fills with signals, and the first of them ends it."""
        if self.run and self.config.is_film:
            check_encoder(self.run.video)  # now, not when everything is painted
        state = self.run.restore(self.pipeline.make_optimizer, self.pipeline.device) if self.run else None
        index = state.frame if state else 0
        while True:
            frame = self.film.frame(index)
            self.prepare(frame, state)
            try:
                self.take_steps(frame, received)
            except NotFinite:
                self.recover(frame)
                self.take_steps(frame, received)
            state = self.state
            is_whole = not received or state.step == frame.steps
            if not is_whole:
                self.save()
            elif self.config.is_film:
                self.save_frame(frame)
            index += 1
            if received and not (is_whole and index == self.film.rendered_frames):
                raise Interrupted(received[0], [self.painting()])
            if index == self.film.rendered_frames:
                return self.finish()

    def prepare(self, frame: Frame, state: State | None = None) -> None:
        """Be ready for a frame's next step, be it begun or not."""
        self.objective = self.pipeline.objective(frame)
        if state is None:
            state = self.pipeline.begin(frame, self.objective, self.config.seed)
        elif state.frame < frame.index:
            state = self.pipeline.go_on(state, frame, self.objective)
        self.state = state
        self.remember()

    def take_steps(self, frame: Frame, received: list[int]) -> None:
        """Paint a frame to its end, or to the end of the step at which a signal comes; raises NotFinite."""
        for (step,) in optimize(frame, self.objective, [self.state]):
            self.on_step(step)
            if received:
                break
        if self.last:
            self.read(self.last)

    def on_step(self, step: Step) -> None:
        """Pass a step on, and keep what is due; raises NotFinite."""
        self.last = step
        for listener in self.listeners:
            listener.step(step)
        if step.index % LOG_EVERY == 0:
            losses = self.read(step)
            if self.run:
                self.run.log(step.frame, step.index, losses)
        if step.index < step.steps and time.monotonic() - self.saved > SNAPSHOT_EVERY:
            self.read(step)
            self.save()

    def read(self, step: Step) -> dict[str, float]:
        """A step's losses as numbers; raises NotFinite, with the line to type, if one or the latent isn't finite."""
        losses = numbers(step)
        if not (all(map(math.isfinite, losses.values())) and self.state.latent.z.isfinite().all()):
            is_short = self.objective.drawer.dtype != torch.float32
            advice = "precision=float32" if is_short else "optimizer.rate=0.01"
            raise NotFinite(f"the losses of step {step.index} aren't finite numbers; add --set {advice}")
        return losses

    def remember(self) -> None:
        """Keep a copy of the State, to go on from if numbers overflow."""
        tensors, strings = self.state.to_tensors()
        self.remembered = {name: tensor.detach().clone() for name, tensor in tensors.items()}, strings

    def recover(self, frame: Frame) -> None:
        """Go on from the State that was remembered, in float32; raises NotFinite where it was float32 already."""
        if self.objective.drawer.dtype == torch.float32 and self.last:
            self.read(self.last)
        self.pipeline = self.pipeline.in_float32()
        self.objective = self.pipeline.objective(frame)
        self.state = State.from_tensors(*self.remembered, self.pipeline.make_optimizer)
        log.warning("numbers overflowed; going on from step %d in float32", self.state.step)

    def save_frame(self, frame: Frame) -> None:
        """Keep a frame, and make the pictures that only waited for it."""
        assert self.run
        self.run.keep(frame.index, self.state.latent.mean)
        for number in self.film.ready(frame.index):
            z = self.run.frames.mix(self.film.blend(number)).to(self.pipeline.device)
            self.run.save_frame(number, decode_image(self.objective.drawer, z))
        self.run.snapshot(self.state)
        self.saved = time.monotonic()

    def save(self) -> None:
        """Keep the picture so far, and what is needed to go on with it."""
        if self.run:
            self.run.snapshot(self.state)
            self.run.save_image(self.image())
        self.remember()
        self.saved = time.monotonic()

    def image(self) -> Image.Image:
        """The picture that the State stands for: that of the latent's running mean, where one is kept."""
        latent = self.state.latent
        return decode_image(self.objective.drawer, latent.mean if self.objective.ema_decay > 0 else latent.z)

    def painting(self) -> Painting:
        return Painting(
            image=self.image(),
            config=self.config,
            steps=self.film.steps_before(self.state.frame) + self.state.step,
            seconds=time.monotonic() - self.began,
            losses=numbers(self.last) if self.last else {},
            folder=self.run.folder if self.run else None,
            frames=self.film.output_frames,
        )

    def finish(self) -> Painting:
        """Write the end of a run; what says that it is finished comes last."""
        painting = self.painting()
        if run := self.run:
            if self.last and self.last.index % LOG_EVERY:
                run.log(self.last.frame, self.last.index, painting.losses)
            if self.config.is_film:
                write_film(run, run.video)
            else:
                run.save_image(painting.image)
            run.finish(painting.record)
        return painting


def numbers(step: Step) -> dict[str, float]:
    """A step's losses as numbers; the device is waited for."""
    return dict(zip(step.losses, torch.stack(list(step.losses.values())).tolist(), strict=True))


@torch.no_grad()
def decode_image(drawer: Drawer, z: Tensor) -> Image.Image:
    """The picture of a latent (1 d y x), as it is shown."""
    return to_pil(drawer.decode_output(z))


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
