"""What `vqclip batch` does once torch may be loaded."""

import contextlib
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import typer

from vqclip import lock
from vqclip.batch import Task
from vqclip.cli.board import board
from vqclip.cli.console import complain, result, result_json, say, stderr
from vqclip.cli.models import fetch
from vqclip.errors import VqclipError, WeightsError
from vqclip.job import Job
from vqclip.launch.contract import Event, Failed, Finished, Launcher
from vqclip.launch.processes import processes
from vqclip.launch.ray import on_ray
from vqclip.launch.seats import seats
from vqclip.launch.serial import serial
from vqclip.ledger import MANIFEST, SHEET, Ledger
from vqclip.record import read_record
from vqclip.render import Interrupted
from vqclip.requirements.needs import requirements
from vqclip.requirements.status import missing
from vqclip.run import check_parent, writing


@dataclass(frozen=True)
class Place:
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
        crew = seats([job.config for job in jobs], self.devices, self.workers, self.threads)
        if len(crew) > 1:
            return processes(crew, self.pull)
        return serial(crew[0].device, crew[0].threads, self.pull)


def paint(
    tasks: Sequence[Task], folder: Path, runs: Path, place: Place, *, as_json: bool, quiet: bool
) -> None:
    """Do what isn't done, and account for all of it; leaves with 1 if anything failed."""
    check_parent(runs)
    with writing(folder, "name another folder with --runs"):
        folder.mkdir(parents=True, exist_ok=True)
    with lock.held(folder):
        ledger = Ledger(folder, tasks)
        account = Account(ledger, as_json)
        try:
            with _terminable():
                _do(account.begin(), account, place, quiet)
        except (KeyboardInterrupt, Interrupted) as stop:
            _leave_interrupted(stop, ledger)
        finally:
            ledger.write()
    if not quiet:
        say("batch", f"{ledger.count('done')} of {len(tasks)} done: {folder / MANIFEST}, {folder / SHEET}")
    if ledger.count("failed"):
        raise typer.Exit(1)


def _do(left: Sequence[Task], account: "Account", place: Place, quiet: bool) -> None:
    """Launch the jobs of the tasks that are left."""
    jobs = [task.job for task in left if task.job]
    if not jobs:
        return
    if place.pull and place.ray is None:
        _fetch(jobs, quiet)
    launch = place.launcher(jobs)
    with board(stderr, [task.entry.title for task in left], quiet) as watching:

        def hear(event: Event) -> None:
            watching.hear(event)
            account.hear(left[event.job], event)

        launch(jobs, hear)


def _fetch(jobs: Sequence[Job], quiet: bool) -> None:
    """Fetch what the jobs need before they begin; a job whose models can't be had fails by itself."""
    for absent in missing(need for job in jobs for need in requirements(job.config)):
        if absent.fetchable:
            with contextlib.suppress(WeightsError):
                fetch(absent.need.name, quiet)


class Account:
    """Writes ends of tasks into the ledger and to stdout; failures are said at once."""

    def __init__(self, ledger: Ledger, as_json: bool):
        self.ledger, self.as_json = ledger, as_json

    def begin(self) -> list[Task]:
        """The tasks that are left to do; the others are told of."""
        left = []
        for task in self.ledger.tasks:
            if task.job is None:
                self._fail(task, task.fault or "")
            elif record := read_record(task.job.folder):
                self._finish(task, record)
            else:
                left.append(task)
        return left

    def hear(self, task: Task, event: Event) -> None:
        match event:
            case Finished(record=record):
                self._finish(task, record)
            case Failed(reason=why):
                self._fail(task, why)

    def _finish(self, task: Task, record: dict[str, Any]) -> None:
        try:
            entry = self.ledger.finish(task, record)
        except VqclipError as error:
            return self._fail(task, str(error))
        return result_json(entry) if self.as_json else result(entry.get("film", entry["image"]))

    def _fail(self, task: Task, why: str) -> None:
        entry = self.ledger.fail(task, why)
        complain(f"{task.entry.place}: {why}")
        if self.as_json:
            result_json(entry)


def _leave_interrupted(stop: KeyboardInterrupt | Interrupted, ledger: Ledger) -> NoReturn:
    done = f"{ledger.count('done')} of {len(ledger.tasks)} done"
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
