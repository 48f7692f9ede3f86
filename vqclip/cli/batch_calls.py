"""What `vqclip batch` does once torch may be loaded."""

import contextlib
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import typer

from vqclip.base import lock
from vqclip.base.errors import VqclipError, WeightsError
from vqclip.cli.commands.models import fetch
from vqclip.cli.display.batch_progress import batch_progress
from vqclip.cli.display.console import complain, result, result_json, say, stderr
from vqclip.jobs.batch import Task
from vqclip.jobs.launcher import Event, Failed, Finished, Launcher
from vqclip.jobs.manifest import MANIFEST, SHEET, Manifest
from vqclip.jobs.placement import worker_specs
from vqclip.jobs.processes import processes
from vqclip.jobs.ray import on_ray
from vqclip.jobs.serial import serial
from vqclip.pipeline.render import Interrupted
from vqclip.requirements.needs import requirements
from vqclip.requirements.status import missing
from vqclip.runs.job import Job
from vqclip.runs.record import read_record
from vqclip.runs.run import check_parent, writing


@dataclass(frozen=True)
class BatchOptions:
    """Where the jobs are done, as the command says it."""

    workers: int | None
    threads: int | None
    devices: Sequence[str]
    ray: str | None
    pull: bool

    def launcher(self, jobs: Sequence[Job]) -> Launcher:
        """The launcher that is asked for, or the one that suits the machine."""
        if self.ray is not None:
            gpus = any(name.startswith("cuda") for name in self.devices)
            return on_ray(self.ray, cpus=self.threads or 1, gpus=int(gpus), pull=self.pull)
        specs = worker_specs([job.config for job in jobs], self.devices, self.workers, self.threads)
        if len(specs) > 1:
            return processes(specs, self.pull)
        return serial(specs[0].device, specs[0].threads, self.pull)


def paint(
    tasks: Sequence[Task], folder: Path, runs: Path, options: BatchOptions, *, as_json: bool, quiet: bool
) -> None:
    """Do what isn't done, and account for all of it; leaves with 1 if anything failed."""
    check_parent(runs)
    with writing(folder, "name another folder with --runs"):
        folder.mkdir(parents=True, exist_ok=True)
    with lock.held(folder):
        manifest = Manifest(folder, tasks)
        recorder = BatchRecorder(manifest, as_json)
        try:
            with _terminable():
                _do(recorder.begin(), recorder, options, quiet)
        except (KeyboardInterrupt, Interrupted) as stop:
            _leave_interrupted(stop, manifest)
        finally:
            manifest.write()
    if not quiet:
        say("batch", f"{manifest.count('done')} of {len(tasks)} done: {folder / MANIFEST}, {folder / SHEET}")
    if manifest.count("failed"):
        raise typer.Exit(1)


def _do(left: Sequence[Task], recorder: "BatchRecorder", options: BatchOptions, quiet: bool) -> None:
    """Launch the jobs of the tasks that are left."""
    jobs = [task.job for task in left if task.job]
    if not jobs:
        return
    if options.pull and options.ray is None:
        _fetch(jobs, quiet)
    launch = options.launcher(jobs)
    with batch_progress(stderr, [task.entry.title for task in left], quiet) as watching:

        def on_event(event: Event) -> None:
            watching.on_event(event)
            recorder.on_event(left[event.job], event)

        launch(jobs, on_event)


def _fetch(jobs: Sequence[Job], quiet: bool) -> None:
    """Fetch what the jobs need before they begin; a job whose models can't be had fails by itself."""
    for absent in missing(need for job in jobs for need in requirements(job.config)):
        if absent.fetchable:
            with contextlib.suppress(WeightsError):
                fetch(absent.need.name, quiet)


class BatchRecorder:
    """Writes ends of tasks into the ledger and to stdout; failures are said at once."""

    def __init__(self, manifest: Manifest, as_json: bool):
        self.manifest, self.as_json = manifest, as_json

    def begin(self) -> list[Task]:
        """The tasks that are left to do; the others are told of."""
        left = []
        for task in self.manifest.tasks:
            if task.job is None:
                self._fail(task, task.error or "")
            elif record := read_record(task.job.folder):
                self._finish(task, record)
            else:
                left.append(task)
        return left

    def on_event(self, task: Task, event: Event) -> None:
        match event:
            case Finished(record=record):
                self._finish(task, record)
            case Failed(cause=why):
                self._fail(task, why)

    def _finish(self, task: Task, record: dict[str, Any]) -> None:
        try:
            entry = self.manifest.finish(task, record)
        except VqclipError as error:
            return self._fail(task, str(error))
        return result_json(entry) if self.as_json else result(entry.get("film", entry["image"]))

    def _fail(self, task: Task, why: str) -> None:
        entry = self.manifest.fail(task, why)
        complain(f"{task.entry.position}: {why}")
        if self.as_json:
            result_json(entry)


def _leave_interrupted(stop: KeyboardInterrupt | Interrupted, manifest: Manifest) -> NoReturn:
    done = f"{manifest.count('done')} of {len(manifest.tasks)} done"
    complain(f"stopped with {done}; the same command goes on")
    number = stop.number if isinstance(stop, Interrupted | Terminated) else signal.SIGINT
    raise typer.Exit(128 + number) from None


class Terminated(KeyboardInterrupt):
    """SIGTERM, treated like Ctrl-C."""

    number = signal.SIGTERM


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
