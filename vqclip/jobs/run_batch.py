"""Run a batch: launch the unfinished tasks, and write every task's result to the manifest."""

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqclip.base import lock
from vqclip.base.errors import RunError, VqclipError
from vqclip.base.stop import StopToken
from vqclip.jobs.batch import Task
from vqclip.jobs.batch_folder import MANIFEST, belongs
from vqclip.jobs.launcher import JobEvent, Launcher
from vqclip.jobs.manifest import SHEET, Manifest
from vqclip.pipeline.events import Failed, Finished
from vqclip.runs.job import Job
from vqclip.runs.record import read_record
from vqclip.runs.run import check_parent, writing


@dataclass(frozen=True)
class TaskEnded:
    """Say that a task is done, and its image saved under its name, or that it failed; `entry` is its manifest line."""

    task: Task
    entry: dict[str, Any]

    @property
    def error(self) -> str | None:
        """Give the error of a failed task."""
        error: str | None = self.entry.get("error")
        return error


@dataclass(frozen=True)
class BatchStarted:
    """List the unfinished tasks; a JobEvent's `job` is an index among them."""

    tasks: Sequence[Task]


@dataclass(frozen=True)
class BatchEnded:
    """Say that a batch ended or was stopped: so many of `tasks` are done or failed; the next call does the rest."""

    tasks: int
    done: int
    failed: int
    manifest: Path
    sheet: Path


BatchEvent = BatchStarted | JobEvent | TaskEnded | BatchEnded
MakeLauncher = Callable[[Sequence[Job]], Launcher]
BatchEvents = Generator[BatchEvent, None, None]


def run_batch(
    tasks: Sequence[Task], folder: Path, launcher: MakeLauncher, stop: StopToken, file: Path
) -> BatchEvents:
    """Run the unfinished tasks of a file, and write the manifest into the batch's folder.

    Raises RunError if the folder can't be used. If the launcher is refused, nothing is written.
    """
    check_parent(folder.parent)
    with _folder(folder), lock.held(folder):
        if not belongs(folder, file, {task.job.config.digest for task in tasks if task.job}):
            raise RunError(f"{folder} is the batch of another file; give the command again")
        manifest = Manifest(folder, tasks, file)
        try:
            yield from _run(manifest, launcher, stop)
        finally:
            if manifest.begun:
                manifest.write()
        done, failed = manifest.count("done"), manifest.count("failed")
        yield BatchEnded(len(tasks), done, failed, folder / MANIFEST, folder / SHEET)


@contextlib.contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Make a batch's folder, and delete it at the end if it is empty."""
    with writing(folder, "name another folder with --runs"):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _run(manifest: Manifest, launcher: MakeLauncher, stop: StopToken) -> BatchEvents:
    left = []
    for task in manifest.tasks:
        if task.job is None:
            yield TaskEnded(task, manifest.fail(task, task.error or ""))
        elif record := read_record(task.job.folder):
            yield _finish(manifest, task, record)
        else:
            left.append(task)
    jobs = [task.job for task in left if task.job]
    if not jobs or stop.stopped:
        manifest.begun = True
        return
    yield BatchStarted(left)
    with closing(launcher(jobs)(jobs, stop)) as events:
        for event in events:
            manifest.begin()
            yield event
            match event.event:
                case Finished(result=result):
                    yield _finish(manifest, left[event.job], result.record)
                case Failed(cause=cause):
                    yield TaskEnded(left[event.job], manifest.fail(left[event.job], cause))


def _finish(manifest: Manifest, task: Task, record: dict[str, Any]) -> TaskEnded:
    """Record a task's end; if its image can't be copied to its name, the task has failed."""
    try:
        return TaskEnded(task, manifest.finish(task, record))
    except VqclipError as error:
        return TaskEnded(task, manifest.fail(task, str(error)))
