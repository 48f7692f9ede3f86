"""The launcher that does one job after the other, in this process."""

from collections.abc import Sequence

from vqclip.jobs.launcher import Launcher, OnEvent, run_job
from vqclip.jobs.worker import Worker
from vqclip.runs.job import Job


def serial(device: str = "auto", threads: int | None = None, pull: bool = False) -> Launcher:
    """A Launcher on one device; raises Interrupted after SIGINT or SIGTERM. Raises UsageError for no device."""
    worker = Worker(device, threads, pull)

    def launch(jobs: Sequence[Job], on_event: OnEvent) -> None:
        for index, job in enumerate(jobs):
            run_job(index, job, worker, str(worker.device), on_event)

    return launch
