"""Render a Config: optimise its frames one after the other, save them, and yield events."""

import logging
import math
import time
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from vqclip.base.errors import NotFinite, UsageError
from vqclip.base.stop import StopToken
from vqclip.config.schema import Config
from vqclip.config.timeline import Frame
from vqclip.guidance.drawer_abilities import WritesSVG
from vqclip.guidance.interfaces import Drawer
from vqclip.guidance.memory import plain_shortages
from vqclip.guidance.objective import Objective
from vqclip.guidance.optimize import Step, optimize
from vqclip.guidance.state import State
from vqclip.media.video_writer import check_encoder
from vqclip.pipeline.enlarge import Enlarge
from vqclip.pipeline.events import (
    Events,
    Finished,
    FrameSaved,
    ImageSaved,
    PlateauReached,
    Result,
    Started,
    Stepped,
    StillSaved,
    Stopped,
    numbers,
)
from vqclip.pipeline.film_video import write_film
from vqclip.pipeline.pipeline import Pipeline
from vqclip.runs.run import Run

log = logging.getLogger(__name__)

SNAPSHOT_EVERY = 20.0  # seconds
LOG_EVERY = 10  # steps: reading a loss waits for the device


@dataclass(frozen=True)
class RenderRequest:
    """Ask for an image of a Config, saved in a Run if there is one."""

    config: Config
    run: Run | None = None


def render(
    config: Config, pipeline: Pipeline, run: Run | None = None, stop: StopToken | None = None
) -> Events:
    """Render a still or a film from the step that its Run has reached; raises OutOfMemory and NotFinite.

    A still needs no Run; a film does, and raises UsageError without one. The Run is locked until the last event, or
    until the generator is closed.
    """
    if config.is_film and run is None:
        raise UsageError("a film's frames need a folder; name one, as in runs='runs'")
    with plain_shortages(), run.held() if run else nullcontext():
        yield from _Rendering(RenderRequest(config, run), pipeline).go(stop or StopToken())


def render_batch(
    requests: Sequence[RenderRequest], pipeline: Pipeline, stop: StopToken | None = None
) -> Events:
    """Render stills from their first step, in one batch; their Configs differ only in their seeds.

    Raises OutOfMemory. When it is stopped, it saves the unfinished images and yields a Stopped for each.
    """
    with plain_shortages(), ExitStack() as stack:
        for request in requests:
            stack.enter_context(request.run.held() if request.run else nullcontext())
        renderings, frame = [_Rendering(request, pipeline) for request in requests], pipeline.film.frame(0)
        for rendering in renderings:
            yield rendering.started()
            rendering.prepare(frame, stop or StopToken())
        if stop and stop.stopped:
            for rendering in renderings:
                yield from rendering.stopped_in_start()
            return
        by_seed = {rendering.config.seed: rendering for rendering in renderings}
        for steps in optimize(frame, renderings[0].objective, [rendering.state for rendering in renderings]):
            for step in steps:
                yield from by_seed[step.seed].on_step(step)
            if stop and stop.stopped and steps[0].index < frame.steps:
                for rendering in renderings:
                    yield from rendering.save()
                yield from [rendering.stopped() for rendering in renderings]
                return
        for rendering in renderings:
            yield from rendering.early_end(frame)
            yield from rendering.finish()


class _Rendering:
    """Render one still or film: its frames one after the other, with snapshots and images saved in between."""

    objective: Objective
    state: State

    def __init__(self, request: RenderRequest, pipeline: Pipeline):
        self.config, self.run = request.config, request.run
        self.pipeline, self.film = pipeline, pipeline.film
        self.began = self.saved = time.monotonic()
        self.last: Step | None = None

    def go(self, stop: StopToken) -> Events:
        """Render all frames, or stop at the end of the step in which `stop` is stopped."""
        if self.run and self.config.is_film:
            check_encoder(self.run.video)  # check now, not after all frames are rendered
        state = self.run.restore(self.pipeline.make_optimizer, self.pipeline.device) if self.run else None
        yield self.started()
        for index in range(state.frame if state else 0, self.film.rendered_frames):
            frame = self.film.frame(index)
            self.prepare(frame, stop, state)
            if stop.stopped and self.state.step == 0:
                yield from self.stopped_in_start()
                return
            try:
                yield from self.take_steps(frame, stop)
            except NotFinite:
                self.recover(frame)
                yield from self.take_steps(frame, stop)
            state = self.state
            is_whole = not stop.stopped or state.step == frame.steps
            if not is_whole:
                yield from self.save()
            elif self.config.is_film:
                yield from self.save_frame(frame)
            is_last = index == self.film.rendered_frames - 1
            if stop.stopped and not (is_whole and is_last):
                yield self.stopped()
                return
        yield from self.finish()

    def started(self) -> Started:
        return Started(self.config, self.run.folder if self.run else None)

    def stopped(self) -> Stopped:
        return Stopped(self.result(self.image()), self.film.steps)

    def stopped_in_start(self) -> Events:
        """Save the image, but no snapshot: the start may have ended early, and is made anew by a resumed run."""
        if self.run:
            yield ImageSaved(self.run.save_image(self.image()))
        yield self.stopped()

    def prepare(self, frame: Frame, stop: StopToken, state: State | None = None) -> None:
        """Prepare a frame's next step, from `state` if there is one; a start that optimises asks `stop`."""
        self.pipeline.stop = stop
        self.objective = self.pipeline.objective(frame)
        if state is None:
            state = self.pipeline.begin(frame, self.objective, self.config.seed)
        elif state.frame < frame.index:
            state = self.pipeline.go_on(state, frame, self.objective)
        self.state, self.drops = state, state.plateau.drops
        self.remember()

    def take_steps(self, frame: Frame, stop: StopToken) -> Events:
        """Optimise a frame to its last step, or to the step in which `stop` is stopped; raises NotFinite."""
        for (step,) in optimize(frame, self.objective, [self.state]):
            yield from self.on_step(step)
            if stop.stopped:
                break
        if self.last:
            self.read(self.last)
        if not stop.stopped:
            yield from self.early_end(frame)

    def on_step(self, step: Step) -> Events:
        """Yield a Stepped, and save log, image and snapshot when they are due; raises NotFinite."""
        self.last = step
        done = self.film.steps_before(step.frame) + step.index
        yield Stepped(step, done, self.film.steps, self.film.rendered_frames)
        if self.state.plateau.drops > self.drops:
            self.drops = self.state.plateau.drops
            yield self.plateau(self.config.optimizer.drop_factor)
        if self.run and self.config.save_every and step.index % self.config.save_every == 0:
            path = self.run.save_still(step.frame, step.index, self.image())
            yield StillSaved(path, step.index)
        if step.index % LOG_EVERY == 0:
            losses = self.read(step)
            if self.run:
                self.run.log(step.frame, step.index, losses)
        if step.index < step.steps and time.monotonic() - self.saved > SNAPSHOT_EVERY:
            self.read(step)
            yield from self.save()

    def early_end(self, frame: Frame) -> Events:
        """Say why a frame's steps ended before the last."""
        if self.state.step < frame.steps:
            yield self.plateau(None)

    def plateau(self, factor: float | None) -> PlateauReached:
        state, settings = self.state, self.config.plateau
        position = state.seed, state.frame, state.step
        return PlateauReached(*position, settings.patience, settings.improvement, factor)

    def read(self, step: Step) -> dict[str, float]:
        """Read a step's losses; raises NotFinite, with the command to type, if one or the latent isn't finite."""
        losses = numbers(step)
        if not (all(map(math.isfinite, losses.values())) and self.state.latent.z.isfinite().all()):
            is_short = self.objective.dtype != torch.float32
            advice = "precision=float32" if is_short else "optimizer.learning_rate=0.01"
            raise NotFinite(f"the losses of step {step.index} aren't finite numbers; add --set {advice}")
        return losses

    def remember(self) -> None:
        """Copy the State, to go on from it if numbers overflow later."""
        tensors, strings = self.state.to_tensors()
        self.remembered = {name: tensor.detach().clone() for name, tensor in tensors.items()}, strings

    def recover(self, frame: Frame) -> None:
        """Go on from the copied State in float32; raises NotFinite if it was float32 already."""
        if self.objective.dtype == torch.float32 and self.last:
            self.read(self.last)
        self.pipeline = self.pipeline.in_float32()
        self.objective = self.pipeline.objective(frame)
        self.state = State.from_tensors(*self.remembered, self.pipeline.make_optimizer)
        log.warning("numbers overflowed; going on from step %d in float32", self.state.step)

    def save_frame(self, frame: Frame) -> Events:
        """Save a frame's latent, and the output images that it completes."""
        assert self.run
        self.run.keep(frame.index, self.state.latent.mean)
        for number in self.film.ready(frame.index):
            z = self.run.frames.mix(self.film.blend(number)).to(self.pipeline.device)
            path = self.run.save_frame(number, decode_image(self.objective.drawer, z, self.pipeline.enlarge))
            yield FrameSaved(path, number)
        self.run.snapshot(self.state)
        self.saved = time.monotonic()

    def save(self) -> Events:
        """Save the unfinished image, and a snapshot to go on from."""
        self.remember()
        if self.run:
            self.run.snapshot(self.state)
            path = self.run.save_image(self.image())
            self.saved = time.monotonic()
            yield ImageSaved(path)
        self.saved = time.monotonic()

    def image(self, enlarge: Enlarge = Enlarge()) -> Image.Image:  # noqa: B008  # frozen
        """Decode the State's image; only the finished one is enlarged."""
        return decode_image(self.objective.drawer, self.shown(), enlarge)

    def shown(self) -> Tensor:
        """Give the latent that is decoded into the image: the running mean if there is one."""
        latent = self.state.latent
        return latent.mean if self.objective.ema_decay > 0 else latent.z

    def result(self, picture: Image.Image) -> Result:
        return Result(
            picture=picture,
            config=self.config,
            steps=self.film.steps_before(self.state.frame) + self.state.step,
            seconds=time.monotonic() - self.began,
            losses=numbers(self.last) if self.last else {},
            folder=self.run.folder if self.run else None,
            frames=self.film.output_frames,
        )

    def finish(self) -> Events:
        """Save the finished run; the record, which marks it as finished, is written last."""
        result = self.result(self.image(self.pipeline.enlarge))
        if run := self.run:
            if self.last and self.last.index % LOG_EVERY:
                run.log(self.last.frame, self.last.index, result.losses)
            if self.config.is_film:
                write_film(run, run.video)
            else:
                run.save_image(result.image)
                self.save_drawing(run)
            run.finish(result.record, None if self.config.is_film else self.state)
            yield ImageSaved(run.image)
        yield Finished(result)

    def save_drawing(self, run: Run) -> None:
        """Save the image as vectors too, where the drawer writes them and they show the image that was saved."""
        drawer = self.objective.drawer
        if not isinstance(drawer, WritesSVG):
            return
        if self.pipeline.changes_drawn:
            log.warning("no SVG is saved: it would lack what the mask, the filters or the palette change")
        else:
            run.save_drawing(drawer.svg(self.shown()))


@torch.no_grad()
def decode_image(drawer: Drawer, z: Tensor, enlarge: Enlarge = Enlarge()) -> Image.Image:  # noqa: B008  # frozen
    """Decode a latent (1 d y x) into the image that is saved."""
    return enlarge(drawer.decode_output(z))
