"""What every launcher keeps, and what it tells of the jobs.

A Launcher takes jobs and does each that isn't finished, in any order, wherever it likes. It tells of each job that it
Started (again after its worker died), how it Progressed, and in the end, once, that it Finished or Failed; one job's
failure is no other's. It ends when all have ended. When it is stopped, or its generator is closed, its workers first
keep what they have.
"""

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

from vqclip.base.errors import VqclipError
from vqclip.base.stop import StopToken
from vqclip.jobs.worker import Worker
from vqclip.pipeline.events import Event, Failed, Finished, Progressed, Started, Stepped
from vqclip.runs.job import Job

RETRIES = 2  # of a job whose worker died
PATIENCE = (
    15.0  # seconds for the lock of a run folder, whose owner may be about to notice that its launcher is dead
)
PROGRESS_EVERY = 0.5  # seconds: reading losses waits for the device


@dataclass(frozen=True)
class JobEvent:
    """Something happened to the job of this index among those that were launched, in the hands of this worker."""

    job: int
    worker: str
    event: Event

    @property
    def is_end(self) -> bool:
        """Whether the job is done with, for good or ill."""
        return isinstance(self.event, Finished | Failed)


JobEvents = Generator[JobEvent, None, None]
Launcher = Callable[[Sequence[Job], StopToken], JobEvents]


def run_job(index: int, job: Job, worker: Worker, name: str, stop: StopToken) -> JobEvents:
    """Do one job and tell of it: steps now and then, as numbers that can travel. Whatever it raises is its failure."""
    yield JobEvent(index, name, Started(job.config, job.folder))
    reported = 0.0
    try:
        for event in worker.go_on(job, stop, PATIENCE):
            if isinstance(event, Stepped) and time.monotonic() - reported > PROGRESS_EVERY:
                reported = time.monotonic()
                yield JobEvent(index, name, Progressed(event.step.index, event.step.steps, event.numbers))
            elif isinstance(event, Finished):
                made = replace(event, result=replace(event.result, picture=None))  # it lies in the folder
                yield JobEvent(index, name, made)
    except VqclipError as error:
        yield JobEvent(index, name, Failed(str(error), job.folder))
    except Exception as error:  # whatever torch raises for this job, the next may be fine
        cause = f"unexpected {type(error).__name__}: {' '.join(str(error).split())}"
        yield JobEvent(index, name, Failed(cause, job.folder))
