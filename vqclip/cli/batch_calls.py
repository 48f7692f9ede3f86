"""Call a Session for `vqclip batch`, and print its events; this module loads torch."""

import contextlib
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import typer

from vqclip.base import runtime
from vqclip.base.errors import WeightsError
from vqclip.base.stop import StopToken
from vqclip.cli.commands.models import fetch
from vqclip.cli.display.batch_progress import BatchProgress, batch_progress
from vqclip.cli.display.console import complain, result, result_json, say, stderr
from vqclip.cli.provide import say_models
from vqclip.jobs.batch import Task
from vqclip.jobs.launcher import JobEvent
from vqclip.jobs.placement import Placement
from vqclip.jobs.run_batch import BatchEnded, BatchStarted, TaskEnded
from vqclip.requirements.needs import requirements
from vqclip.requirements.status import missing
from vqclip.session import Session


class BatchPrinter:
    """Print a batch: progress and failures to stderr, results to stdout."""

    def __init__(self, tasks: Sequence[Task], context: contextlib.ExitStack, as_json: bool, quiet: bool):
        self.tasks, self.context, self.as_json, self.quiet = tasks, context, as_json, quiet
        self.done = self.failed = 0
        self.progress: BatchProgress | None = None

    def on_event(self, event: BatchStarted | JobEvent | TaskEnded | BatchEnded) -> None:
        match event:
            case BatchStarted(tasks=tasks):
                if not self.quiet:
                    say_models(need for task in tasks if task.job for need in requirements(task.job.config))
                titles = [task.entry.title for task in tasks]
                self.progress = self.context.enter_context(batch_progress(stderr, titles, self.quiet))
            case JobEvent() if self.progress:
                self.progress.on_event(event)
            case TaskEnded(error=None, entry=entry):
                self.done += 1
                result_json(entry) if self.as_json else result(entry.get("film") or entry["image"])
            case TaskEnded(task=task, error=str(error), entry=entry):
                self.failed += 1
                complain(f"{task.entry.position}: {error}")
                if self.as_json:
                    result_json(entry)
            case BatchEnded():
                self.context.close()

    def leave_stopped(self, number: int) -> NoReturn:
        self.context.close()
        complain(f"stopped with {self.done} of {len(self.tasks)} done; the same command goes on")
        raise typer.Exit(128 + number) from None


def paint(
    tasks: Sequence[Task], folder: Path, placement: Placement, file: Path,
    *, pull: bool, as_json: bool, quiet: bool,
) -> None:  # fmt: skip
    """Run the unfinished tasks, and print them; exit with 1 if one failed."""
    stop, ended = StopToken(), None
    session = Session(pull=pull, owns_process=True)
    with contextlib.ExitStack() as context, runtime.stopping_on_signals(stop) as signals:
        printer = BatchPrinter(tasks, context, as_json, quiet)
        if pull and placement.ray is None:
            _fetch(tasks, quiet)
        try:
            for event in session.run_tasks(tasks, folder, placement, stop, file):
                ended = event if isinstance(event, BatchEnded) else ended
                printer.on_event(event)
        except KeyboardInterrupt:
            printer.leave_stopped(signals.number or signal.SIGINT)
    if signals.number and printer.done + printer.failed < len(tasks):
        printer.leave_stopped(signals.number)
    if ended and not quiet:
        made = [path for path in (ended.manifest, ended.sheet) if path.is_file()]
        say("batch", f"{ended.done} of {ended.tasks} done: {', '.join(map(str, made))}")
    if printer.failed:
        raise typer.Exit(1)


def _fetch(tasks: Sequence[Task], quiet: bool) -> None:
    """Fetch the jobs' models before they begin; a job whose models are unavailable fails later, alone."""
    jobs = [task.job for task in tasks if task.job]
    for absent in missing(need for job in jobs for need in requirements(job.config)):
        if absent.fetchable:
            with contextlib.suppress(WeightsError):
                fetch(absent.need.name, quiet)
