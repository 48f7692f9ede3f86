"""Launch one job after the other, in this process."""

from collections.abc import Sequence

from vqclip.base.stop import StopToken
from vqclip.jobs.launcher import JobEvents, Launcher, run_job
from vqclip.jobs.worker import Worker
from vqclip.runs.job import Job


def serial(worker: Worker) -> Launcher:
    """Make a Launcher with one Worker, whose models stay loaded from job to job."""

    def launch(jobs: Sequence[Job], stop: StopToken) -> JobEvents:
        for index, job in enumerate(jobs):
            if stop.stopped:
                return
            yield from run_job(index, job, worker, str(worker.device), stop)

    return launch
