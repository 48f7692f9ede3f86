"""Call a Session for the commands, and print its events; this module loads torch."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import typer

from vqclip.base import device as devices
from vqclip.base import runtime
from vqclip.base.stop import StopToken
from vqclip.cli.deliver import deliver
from vqclip.cli.display.console import complain, say, stderr
from vqclip.cli.display.plateau import PlateauWatch
from vqclip.cli.display.report import Reporter, reporter
from vqclip.cli.outputs import OutputSpec, plan_outputs
from vqclip.cli.painting_options import say_prompts
from vqclip.cli.provide import provide
from vqclip.config.schema import Config
from vqclip.jobs.reproduce import carried_config
from vqclip.jobs.worker import BATCH_SEEDS
from vqclip.media.image import read_metadata
from vqclip.pipeline.events import (
    Compared,
    Differs,
    Event,
    Finished,
    Ranked,
    Result,
    Started,
    Stepped,
    Stopped,
    VideoSaved,
)
from vqclip.pipeline.progress_video import read_settings
from vqclip.requirements.needs import requirements
from vqclip.requirements.status import locations_from, status
from vqclip.runs.run import check_parent, origin, read_config, read_provenance
from vqclip.session import Session
from vqclip.weights.requirement import Requirement


@dataclass(frozen=True)
class BestOf:
    """Hold how many images are kept, and which CLIP ranks them."""

    keep: int
    judge: str


def paint(
    outputs: Sequence[OutputSpec], device: str, runs: Path, best_of: BestOf | None = None,
    *, batch_size: int | None, as_json: bool, quiet: bool, verbose: bool = False, pull: bool,
) -> None:  # fmt: skip
    """Make all images in batches, and deliver them; with `best_of`, deliver only the best."""
    config, torch_device = outputs[0].config, devices.pick(device)
    session = Session(device, pull=pull, keeps_models=False, owns_process=True)
    check_parent(runs)
    needs = requirements(config, best_of.judge if best_of else None)
    announce(config, torch_device, needs, pull=pull, quiet=quiet)
    if verbose:
        say_details(config, needs)
    by_seed = {spec.config.seed: spec for spec in outputs}
    # With `best_of`, the ranking at the end decides which videos are copied to their names.
    videos = {seed: replace(spec.video, file=None) if best_of else spec.video
              for seed, spec in by_seed.items() if spec.video}  # fmt: skip
    configs = [spec.config for spec in outputs]
    with printing(quiet, verbose=verbose) as printer:
        if best_of is None:
            events = session.generate(
                configs, batch_size=batch_size, runs=runs, video=videos or None, stop=printer.stop
            )
            for made in printer.results(events):
                spec = by_seed[made.seed]
                deliver(made, spec.output, as_json, force=spec.force)
            return
        events = session.best_of(
            configs, keep=best_of.keep, judge=best_of.judge,
            batch_size=batch_size, runs=runs, video=videos or None, stop=printer.stop,
        )  # fmt: skip
        for event in printer.show(events):
            if isinstance(event, Ranked):
                _deliver_ranked(event, by_seed[event.result.seed], best_of.judge, as_json, quiet)


def _deliver_ranked(event: Ranked, spec: OutputSpec, judge: str, as_json: bool, quiet: bool) -> None:
    """Print an image's score, and deliver it if it is kept; the others stay in their run folders."""
    if not quiet:
        suffix = "" if event.is_kept else ", not kept"
        say("score", f"{event.score:.4f} by {judge}: seed {spec.config.seed}{suffix}")
    if event.is_kept:
        video = spec.video.file if spec.video else None
        deliver(event.result, spec.output, as_json, video, force=spec.force, score=round(event.score, 4))


def announce(
    config: Config, device: torch.device, needs: Iterable[Requirement], *, pull: bool, quiet: bool
) -> None:
    """Say prompts, models and device before the work begins, and fetch models; raises WeightsError."""
    if not quiet:
        say_prompts(config)
    provide(needs, pull=pull, quiet=quiet, device=device)
    if not quiet:
        say("device", f"{devices.describe(device)}, {devices.arithmetic(config.precision, device)}")


def say_details(config: Config, needs: Iterable[Requirement]) -> None:
    """Say what -v adds: the config's digest, size and steps, and the file of each model."""
    say("config", f"{config.digest}: {config.size}, {config.steps} steps, start {config.start.name}")
    for need in needs:
        found = status(need)
        say("file", f"{need.role}: {need.name}, {found.size}, {found.path}")


def reproduce(
    image: Path, output: str | None, device: str, runs: Path,
    *, force: bool, as_json: bool, quiet: bool, pull: bool,
) -> None:  # fmt: skip
    """Make a saved image again from its metadata, and compare the two."""
    metadata = read_metadata(image)
    session, config = (
        Session(device, pull=pull, keeps_models=False, owns_process=True),
        carried_config(image, metadata),
    )
    check_parent(runs)
    (spec,) = plan_outputs(config, output, force=force)
    announce(config, devices.pick(device), requirements(config), pull=pull, quiet=quiet)
    with printing(quiet) as printer:
        for event in printer.show(session.reproduce(image, runs=runs, stop=printer.stop)):
            if isinstance(event, Compared):
                if not quiet:
                    differ = f"{event.share:.1%} differ, by {255 * event.most:.0f} of 255 at most"
                    say("pixels", "the same" if event.is_same else differ)
                deliver(event.result, spec.output, as_json, force=force, same=event.is_same)


def resume(folder: Path, device: str, *, as_json: bool, quiet: bool, pull: bool) -> None:
    """Go on in a run folder, and deliver its result; a finished run is delivered at once."""
    session = Session(device, pull=pull, keeps_models=False, owns_process=True)
    needs = requirements(read_config(folder))
    locations = locations_from(origin(folder), needs)
    provide([need.at(locations) for need in needs], pull=pull, quiet=quiet)
    with printing(quiet, goes_on=True) as printer:
        for made in printer.results(session.resume(folder, stop=printer.stop)):
            deliver(made, None, as_json)


class Printer:
    """Print events to stderr; if images are stopped, print the commands that go on, and exit."""

    def __init__(self, signals: runtime.Signals, quiet: bool, goes_on: bool, verbose: bool = False):
        self.signals, self.quiet, self.goes_on, self.stop = signals, quiet, goes_on, signals.token
        self.verbose = verbose
        self.plateau = PlateauWatch()
        self.folders: dict[int, Path] = {}  # of the current batch's images, by seed
        self.finished: list[Result] = []  # the finished images of the current batch
        self.report: Reporter | None = None
        self.context = contextlib.ExitStack()

    def results(self, events: Iterable[Event]) -> Iterator[Result]:
        """Print events, and yield each finished image once its video is made too."""
        held: list[Result] = []
        for event in self.show(events):
            if isinstance(event, Started):
                yield from held
                held.clear()
            elif isinstance(event, Finished):
                held.append(event.result)
        yield from held

    def show(self, events: Iterable[Event]) -> Iterator[Event]:
        """Print events, and pass them on."""
        stopped: list[Stopped] = []
        try:
            for event in events:
                if isinstance(event, Stopped):
                    stopped.append(event)
                self.on_event(event)
                yield event
        except KeyboardInterrupt:
            if not self.finished:
                raise
            complain(
                f"stopped while the video was made; go on with: vqclip resume {self.finished[-1].folder}"
            )
            raise typer.Exit(130) from None
        finally:
            self.context.close()
        if stopped:
            self._leave(stopped)

    def on_event(self, event: Event) -> None:
        if isinstance(event, Stepped):
            self.plateau.watch(event)
        match event:
            case Differs(key=key, then=then, now=now):
                self.say("differs", f"{key}: {then} then, {now} now")
            case Started(config=config, folder=folder):
                self._start(config.seed, folder)
            case Stepped(step=step) if step.seed == next(iter(self.folders), step.seed):
                if self.report is None:
                    self.report = self.context.enter_context(reporter(stderr, self.quiet))
                self.report.step(event)
            case Finished(is_new=False, result=made):
                self.say("made", f"already; to make it again: vqclip reproduce {made.folder}/image.png")
                self.finished.append(made)
            case Finished(result=made):
                self._finish(made)
            case VideoSaved(path=path):
                settings = read_settings(path.parent)
                self.say("video", (settings and settings.file) or str(path))

    def say(self, topic: str, text: str) -> None:
        if not self.quiet:
            say(topic, text)

    def _start(self, seed: int, folder: Path | None) -> None:
        if self.finished:
            self.folders, self.finished, self.report = {}, [], None
        self.folders[seed] = folder or Path()
        self.signals.install()
        if self.goes_on and folder and read_provenance(folder).get(BATCH_SEEDS):
            self.say("differs", "begun in a batch, goes on alone: sums are rounded otherwise")
        self.say("seed", str(seed))
        self.say("run", str(folder))

    def _finish(self, made: Result) -> None:
        self.finished.append(made)
        self.context.close()
        if line := self.plateau.line(made):
            self.say("plateau", line)
        if self.verbose:
            pace = 1000 * made.seconds / max(1, made.steps)
            self.say("time", f"seed {made.seed}: {pace:.0f} ms a step")
        if len(self.finished) == len(self.folders):
            each = f", {len(self.folders)} images" if len(self.folders) > 1 else ""
            first = self.finished[0]
            self.signals.restore()  # from here on Ctrl-C may interrupt: the video can be made again
            self.say("made", f"{first.steps} steps in {first.seconds:.1f} s{each}")

    def _leave(self, stopped: Sequence[Stopped]) -> None:
        for event in stopped:
            made = event.result
            complain(
                f"stopped at step {made.steps} of {event.steps}; go on with: vqclip resume {made.folder}"
            )
        raise typer.Exit(128 + (self.signals.number or 0))


@contextlib.contextmanager
def printing(quiet: bool, *, goes_on: bool = False, verbose: bool = False) -> Iterator[Printer]:
    """Make a Printer whose StopToken Ctrl-C stops during a run; a second Ctrl-C ends the process at once."""
    signals = runtime.Signals(StopToken())
    try:
        yield Printer(signals, quiet, goes_on, verbose)
    finally:
        signals.restore()
