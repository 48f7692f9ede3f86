"""Call a Session for the commands, and print its events; this module loads torch."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from vqclip.base import device as devices
from vqclip.base import runtime
from vqclip.base.stop import StopToken
from vqclip.cli.deliver import deliver
from vqclip.cli.display.console import complain, say, stderr
from vqclip.cli.display.report import Reporter, reporter
from vqclip.cli.outputs import OutputSpec, check_output
from vqclip.cli.provide import provide
from vqclip.jobs.reproduce import carried_config
from vqclip.jobs.worker import BATCH_SEEDS
from vqclip.media.image import read_metadata
from vqclip.pipeline.events import (
    Compared,
    Differs,
    Event,
    Finished,
    PlateauReached,
    Ranked,
    Result,
    Started,
    Stepped,
    Stopped,
    VideoSaved,
)
from vqclip.pipeline.progress_video import read_settings
from vqclip.requirements.needs import requirements
from vqclip.requirements.status import locations_from
from vqclip.runs.run import check_parent, origin, read_config, read_provenance
from vqclip.session import Session


@dataclass(frozen=True)
class BestOf:
    """Hold how many images are kept, and which CLIP ranks them."""

    keep: int
    judge: str


def paint(
    outputs: Sequence[OutputSpec], device: str, runs: Path, best_of: BestOf | None = None,
    *, batch_size: int | None, as_json: bool, quiet: bool, pull: bool,
) -> None:  # fmt: skip
    """Make all images in batches, and deliver them; with `best_of`, deliver only the best."""
    config, torch_device = outputs[0].config, devices.pick(device)
    session = Session(device, pull=pull, keeps_models=False, owns_process=True)
    check_parent(runs)
    needs = requirements(config, best_of.judge if best_of else None)
    provide(needs, pull=pull, quiet=quiet, device=torch_device)
    if not quiet:
        arithmetic = devices.arithmetic(config.precision, torch_device)
        say("device", f"{devices.describe(torch_device)}, {arithmetic}")
    by_seed = {spec.config.seed: spec for spec in outputs}
    # With `best_of`, the ranking at the end decides which videos are copied to their names.
    videos = {seed: replace(spec.video, file=None) if best_of else spec.video
              for seed, spec in by_seed.items() if spec.video}  # fmt: skip
    configs = [spec.config for spec in outputs]
    with printing(quiet) as printer:
        if best_of is None:
            events = session.generate(
                configs, batch_size=batch_size, runs=runs, video=videos or None, stop=printer.stop
            )
            for made in printer.results(events):
                deliver(made, by_seed[made.seed].output, as_json)
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
        deliver(event.result, spec.output, as_json, video, score=round(event.score, 4))


def reproduce(
    image: Path, output: Path | None, device: str, runs: Path, *, as_json: bool, quiet: bool, pull: bool
) -> None:
    """Make a saved image again from its metadata, and compare the two."""
    metadata = read_metadata(image)
    session, config = (
        Session(device, pull=pull, keeps_models=False, owns_process=True),
        carried_config(image, metadata),
    )
    check_parent(runs)
    if output is not None:
        check_output(output, config.is_film)
    provide(requirements(config), pull=pull, quiet=quiet)
    with printing(quiet) as printer:
        for event in printer.show(session.reproduce(image, runs=runs, stop=printer.stop)):
            if isinstance(event, Compared):
                if not quiet:
                    differ = f"{event.share:.1%} differ, by {255 * event.most:.0f} of 255 at most"
                    say("pixels", "the same" if event.is_same else differ)
                deliver(event.result, output, as_json, same=event.is_same)


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

    def __init__(self, signals: runtime.Signals, quiet: bool, goes_on: bool):
        self.signals, self.quiet, self.goes_on, self.stop = signals, quiet, goes_on, signals.token
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
            case PlateauReached():
                self.say("plateau", str(event))
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
def printing(quiet: bool, *, goes_on: bool = False) -> Iterator[Printer]:
    """Make a Printer whose StopToken Ctrl-C stops during a run; a second Ctrl-C ends the process at once."""
    signals = runtime.Signals(StopToken())
    try:
        yield Printer(signals, quiet, goes_on)
    finally:
        signals.restore()
