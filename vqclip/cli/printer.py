"""Print the events of a Session, and stop it at Ctrl-C; this module loads torch."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import typer

from vqclip.base import runtime
from vqclip.base.stop import StopToken
from vqclip.cli.display.console import complain, say, stderr
from vqclip.cli.display.report import Reporter, reporter
from vqclip.jobs.worker import BATCH_SEEDS
from vqclip.pipeline.events import (
    Differs,
    Event,
    Finished,
    PlateauReached,
    Result,
    Started,
    Stepped,
    Stopped,
    VideoSaved,
)
from vqclip.pipeline.progress_video import read_settings
from vqclip.runs.delivery import Delivery, remember
from vqclip.runs.run import read_provenance

Outputs = Mapping[int, Delivery]  # where results go, by their seeds
_NO_OUTPUTS: Outputs = {}


class Printer:
    """Print events to stderr; if images are stopped, print the commands that go on, and exit."""

    def __init__(
        self, signals: runtime.Signals, quiet: bool, goes_on: bool, outputs: Outputs, verbose: bool = False
    ):
        self.signals, self.quiet, self.goes_on, self.stop = signals, quiet, goes_on, signals.token
        self.outputs, self.verbose = outputs, verbose
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
        if folder and (delivery := self.outputs.get(seed)):
            remember(folder, delivery.file, delivery.force)
        if self.goes_on and folder and read_provenance(folder).get(BATCH_SEEDS):
            self.say("differs", "begun in a batch, goes on alone: sums are rounded otherwise")
        self.say("seed", str(seed))
        self.say("run", str(folder))

    def _finish(self, made: Result) -> None:
        self.finished.append(made)
        self.context.close()
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
def printing(
    quiet: bool, *, goes_on: bool = False, outputs: Outputs = _NO_OUTPUTS, verbose: bool = False
) -> Iterator[Printer]:
    """Make a Printer whose StopToken Ctrl-C stops during a run; a second Ctrl-C ends the process at once.

    It remembers the `outputs` in their run folders, by seed.
    """
    signals = runtime.Signals(StopToken())
    try:
        yield Printer(signals, quiet, goes_on, outputs, verbose)
    finally:
        signals.restore()
