"""Call a Session for the commands, and print its events; this module loads torch."""

import contextlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from vqclip.base import device as devices
from vqclip.base import runtime
from vqclip.base.errors import UsageError
from vqclip.base.stop import StopToken
from vqclip.cli.deliver import deliver
from vqclip.cli.display.console import complain, say, stderr
from vqclip.cli.display.report import Reporter, reporter
from vqclip.cli.outputs import OutputSpec, check_output
from vqclip.cli.provide import provide
from vqclip.config.schema import Config
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
from vqclip.requirements.status import locations_from
from vqclip.runs.continuation import changed_keys, continued
from vqclip.runs.delivery import Delivery, remember, remembered
from vqclip.runs.record import read_record
from vqclip.runs.run import check_parent, origin, read_config, read_provenance
from vqclip.session import Session, carried_config

log = logging.getLogger(__name__)

Outputs = Mapping[int, Delivery]  # where results go, by their seeds
_NO_OUTPUTS: Outputs = {}


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
    goals = {} if best_of else {seed: Delivery(spec.output) for seed, spec in by_seed.items() if spec.output}
    with printing(quiet, outputs=goals) as printer:
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
    with printing(quiet, outputs={config.seed: Delivery(output)} if output else {}) as printer:
        for event in printer.show(session.reproduce(image, runs=runs, stop=printer.stop)):
            if isinstance(event, Compared):
                if not quiet:
                    differ = f"{event.share:.1%} differ, by {255 * event.most:.0f} of 255 at most"
                    say("pixels", "the same" if event.is_same else differ)
                deliver(event.result, output, as_json, same=event.is_same)


@dataclass(frozen=True)
class Further:
    """Hold what `resume` is told besides the run: a number of steps, and where the result goes."""

    steps: int | None = None
    output: Path | None = None
    force: bool = False


def resume(folder: Path, further: Further, device: str, *, as_json: bool, quiet: bool, pull: bool) -> None:
    """Go on in a run folder, or with more steps in a new one, and deliver the result; a finished run at once."""
    session = Session(device, pull=pull, keeps_models=False, owns_process=True)
    config = read_config(folder)
    delivery = _delivery(folder, further, config.is_film)
    needs = requirements(config)
    locations = locations_from(origin(folder), needs)
    provide([need.at(locations) for need in needs], pull=pull, quiet=quiet)
    if further.steps is not None:
        folder = _continue(folder, further.steps, config)
    if delivery:
        remember(folder, delivery.file, delivery.force)
    with printing(quiet, goes_on=True) as printer:
        for made in printer.results(session.resume(folder, stop=printer.stop)):
            deliver(made, delivery.file if delivery else None, as_json)


def _delivery(folder: Path, further: Further, is_film: bool) -> Delivery | None:
    """Find where the result goes; raises UsageError, before any work, if a file lies there that may not be replaced."""
    if further.output:
        delivery: Delivery | None = Delivery(further.output, further.force)
    else:
        delivery = None if further.steps else remembered(folder)  # the image of fewer steps went there
    if delivery is None:
        return None
    if delivery.file.exists() and not (delivery.force or further.force):
        if read_record(folder) and not further.output:
            return None  # it was delivered
        raise UsageError(f"{delivery.file} exists; add --force to replace it, or name another file with -o")
    check_output(delivery.file, is_film)
    return delivery


def _continue(folder: Path, steps: int, config: Config) -> Path:
    """Make the run of more steps, and say which keys keep an image of so many steps from having the same pixels."""
    run = continued(folder, steps)
    if changed := changed_keys(config, run.config):
        log.warning(
            "%s ran over %d steps and %s so; an image of %d steps from the start would be another",
            " and ".join(changed), config.steps, "stay" if len(changed) > 1 else "stays", steps,
        )  # fmt: skip
    return run.folder


class Printer:
    """Print events to stderr; if images are stopped, print the commands that go on, and exit."""

    def __init__(self, signals: runtime.Signals, quiet: bool, goes_on: bool, outputs: Outputs):
        self.signals, self.quiet, self.goes_on, self.stop = signals, quiet, goes_on, signals.token
        self.outputs = outputs
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
                self.say("painted", f"already; to paint it again: vqclip reproduce {made.folder}/image.png")
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
        if folder and (delivery := self.outputs.get(seed)):
            remember(folder, delivery.file, delivery.force)
        if self.goes_on and folder and read_provenance(folder).get(BATCH_SEEDS):
            self.say("differs", "begun together with others, goes on alone: sums are rounded otherwise")
        self.say("seed", str(seed))
        self.say("run", str(folder))

    def _finish(self, made: Result) -> None:
        self.finished.append(made)
        self.context.close()
        if len(self.finished) == len(self.folders):
            each = f", {len(self.folders)} pictures" if len(self.folders) > 1 else ""
            first = self.finished[0]
            self.signals.restore()  # from here on Ctrl-C may interrupt: the video can be made again
            self.say("painted", f"{first.steps} steps in {first.seconds:.1f} s{each}")

    def _leave(self, stopped: Sequence[Stopped]) -> None:
        for event in stopped:
            made = event.result
            complain(
                f"stopped at step {made.steps} of {event.steps}; go on with: vqclip resume {made.folder}"
            )
        raise typer.Exit(128 + (self.signals.number or 0))


@contextlib.contextmanager
def printing(quiet: bool, *, goes_on: bool = False, outputs: Outputs = _NO_OUTPUTS) -> Iterator[Printer]:
    """Make a Printer whose StopToken Ctrl-C stops during a run; a second Ctrl-C ends the process at once.

    It remembers the `outputs` in their run folders, by seed.
    """
    signals = runtime.Signals(StopToken())
    try:
        yield Printer(signals, quiet, goes_on, outputs)
    finally:
        signals.restore()
