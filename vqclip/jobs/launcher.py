"""What every launcher keeps, and what it tells of the jobs.

A Launcher takes jobs and does each that isn't finished, in any order, wherever it likes. It tells of each job that it
Started (again after its worker died), how it Progressed, and in the end, once, that it Finished or Failed; one job's
failure is no other's. It returns when all have ended. When it is interrupted, its workers first keep what they have.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vqclip.base.errors import VqclipError
from vqclip.guidance.optimize import Step
from vqclip.jobs.worker import Worker
from vqclip.pipeline.render import Interrupted, numbers
from vqclip.runs.job import Job

RETRIES = 2  # of a job whose worker died
PATIENCE = (
    15.0  # seconds for the lock of a run folder, whose owner may be about to notice that its launcher is dead
)
PROGRESS_EVERY = 0.5  # seconds: reading losses waits for the device


@dataclass(frozen=True)
class Event:
    """Something happened to the job of this index among those that were launched, in the hands of this worker."""

    job: int
    worker: str


@dataclass(frozen=True)
class Started(Event):
    pass


@dataclass(frozen=True)
class Progressed(Event):
    step: int
    steps: int
    losses: dict[str, float]


@dataclass(frozen=True)
class Finished(Event):
    record: dict[str, Any]


@dataclass(frozen=True)
class Failed(Event):
    cause: str


OnEvent = Callable[[Event], None]
Launcher = Callable[[Sequence[Job], OnEvent], None]


class Progress:
    """A Listener that tells of its job's steps, now and then."""

    def __init__(self, job: int, worker: str, on_event: OnEvent):
        self.job, self.worker, self.on_event, self.reported = job, worker, on_event, 0.0

    def step(self, step: Step) -> None:
        if time.monotonic() - self.reported > PROGRESS_EVERY:
            self.reported = time.monotonic()
            self.on_event(Progressed(self.job, self.worker, step.index, step.steps, numbers(step)))


def run_job(index: int, job: Job, worker: Worker, name: str, on_event: OnEvent) -> None:
    """Do one job and tell of it. Only Interrupted is raised, and what `on_event` raises."""
    on_event(Started(index, name))
    progress = Progress(index, name, on_event)
    end: Event
    try:
        end = Finished(index, name, worker.paint(job, [progress], PATIENCE))
    except (Interrupted, ConnectionError):  # told to stop, or nobody is left to tell
        raise
    except VqclipError as error:
        end = Failed(index, name, str(error))
    except Exception as error:  # whatever torch raises for this job, the next may be fine
        end = Failed(index, name, f"unexpected {type(error).__name__}: {' '.join(str(error).split())}")
    on_event(end)
