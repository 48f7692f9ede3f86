"""Define what a Launcher does, and run one job.

A Launcher runs each job that isn't finished, in any order and on any machine. For each job it yields Started (again
after a worker died), Progressed, and at the end one Finished or Failed. One job's failure doesn't affect the others.
It ends when all jobs have ended. When it is stopped, or its generator is closed, its workers save a snapshot first.
"""

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

from vqclip.base.errors import VqclipError
from vqclip.base.stop import StopToken
from vqclip.jobs.worker import Worker
from vqclip.pipeline.events import Event, Failed, Finished, Progressed, Started, Stepped
from vqclip.runs.job import Job

RETRIES = 2  # for a job whose worker died
PATIENCE = 15.0  # seconds to wait for a run folder's lock: a worker of a dead launcher takes a while to end
PROGRESS_EVERY = 0.5  # seconds: reading losses waits for the device


@dataclass(frozen=True)
class JobEvent:
    """Hold an event, the index of its job among those launched, and the worker's name."""

    job: int
    worker: str
    event: Event

    @property
    def is_end(self) -> bool:
        """Tell whether the job has finished or failed."""
        return isinstance(self.event, Finished | Failed)


JobEvents = Generator[JobEvent, None, None]
Launcher = Callable[[Sequence[Job], StopToken], JobEvents]


def run_job(index: int, job: Job, worker: Worker, name: str, stop: StopToken) -> JobEvents:
    """Run one job and yield its events, Progressed now and then in place of Stepped; an exception becomes Failed."""
    yield JobEvent(index, name, Started(job.config, job.folder))
    reported = 0.0
    try:
        for event in worker.go_on(job, stop, PATIENCE):
            if isinstance(event, Stepped) and time.monotonic() - reported > PROGRESS_EVERY:
                reported = time.monotonic()
                yield JobEvent(index, name, Progressed(event.step.index, event.step.steps, event.numbers))
            elif isinstance(event, Finished):
                made = replace(
                    event, result=replace(event.result, picture=None)
                )  # the run folder has the image
                yield JobEvent(index, name, made)
    except VqclipError as error:
        yield JobEvent(index, name, Failed(str(error), job.folder))
    except Exception as error:  # torch raises many kinds; the next job may succeed
        cause = f"unexpected {type(error).__name__}: {' '.join(str(error).split())}"
        yield JobEvent(index, name, Failed(cause, job.folder))
