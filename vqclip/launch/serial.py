"""The launcher that does one job after the other, in this process."""

from collections.abc import Sequence

from vqclip.job import Job
from vqclip.launch.contract import Hear, Launcher, do
from vqclip.painter import Painter


def serial(device: str = "auto", threads: int | None = None, pull: bool = False) -> Launcher:
    """A Launcher on one device; raises Interrupted after SIGINT or SIGTERM. Raises UsageError for no device."""
    painter = Painter(device, threads, pull)

    def launch(jobs: Sequence[Job], hear: Hear) -> None:
        for index, job in enumerate(jobs):
            do(index, job, painter, str(painter.device), hear)

    return launch
