"""What every launcher keeps, and what it tells of the jobs.

A Launcher takes jobs and does each that isn't finished, in any order, wherever it likes. It tells of each job that it
Started (again after its worker died), how it Progressed, and in the end, once, that it Finished or Failed; one job's
failure is no other's. It returns when all have ended. When it is interrupted, its workers first keep what they have.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vqclip.errors import VqclipError
from vqclip.job import Job
from vqclip.optimize import Step
from vqclip.painter import Painter
from vqclip.render import Interrupted, numbers

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
    reason: str


Hear = Callable[[Event], None]
Launcher = Callable[[Sequence[Job], Hear], None]


class Progress:
    """A Listener that tells of its job's steps, now and then."""

    def __init__(self, job: int, worker: str, hear: Hear):
        self.job, self.worker, self.hear, self.told = job, worker, hear, 0.0

    def step(self, step: Step) -> None:
        if time.monotonic() - self.told > PROGRESS_EVERY:
            self.told = time.monotonic()
            self.hear(Progressed(self.job, self.worker, step.index, step.steps, numbers(step)))


def do(index: int, job: Job, painter: Painter, worker: str, hear: Hear) -> None:
    """Do one job and tell of it. Only Interrupted is raised, and what `hear` raises."""
    hear(Started(index, worker))
    progress = Progress(index, worker, hear)
    end: Event
    try:
        end = Finished(index, worker, painter.paint(job, [progress], PATIENCE))
    except (Interrupted, ConnectionError):  # told to stop, or nobody is left to tell
        raise
    except VqclipError as error:
        end = Failed(index, worker, str(error))
    except Exception as error:  # whatever torch raises for this job, the next may be fine
        end = Failed(index, worker, f"unexpected {type(error).__name__}: {' '.join(str(error).split())}")
    hear(end)
