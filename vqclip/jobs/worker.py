"""A Worker does jobs, one after the other, with models that are loaded once."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from vqclip.base import determinism
from vqclip.base import device as devices
from vqclip.pipeline.model_cache import ModelCache
from vqclip.pipeline.pipeline import Pipeline
from vqclip.pipeline.render import Listener, render
from vqclip.requirements import install
from vqclip.requirements.needs import requirements
from vqclip.requirements.status import missing
from vqclip.runs.job import Job
from vqclip.runs.provenance import provenance
from vqclip.runs.run import Run


class Worker:
    """One device with its models; on the CPU it uses `threads` threads, or as many as torch would."""

    def __init__(
        self,
        device: str = "auto",
        threads: int | None = None,
        pull: bool = False,
        locations: Mapping[str, str] | None = None,
    ):
        self.device = devices.pick(device)
        determinism.enter(self.device)
        self.threads = threads or torch.get_num_threads()
        self.pull, self.places = pull, locations or {}
        self.cache = ModelCache(self.device, pull, locations)

    def open(self, job: Job) -> Run:
        """The job's run folder, made if it isn't there; raises RunError if it is another Config's.

        Work that was begun goes on with the number of threads that it was begun with, since sums depend on it.
        """
        torch.set_num_threads(self.threads)
        run = Run.open(job.folder, job.config, provenance(job.config, self.device, self.places))
        torch.set_num_threads(run.threads or self.threads)
        return run

    def paint(self, job: Job, listeners: Sequence[Listener] = (), patience: float = 0.0) -> dict[str, Any]:
        """The record of a job, done from where its folder stands; what is finished isn't painted again.

        Raises VqclipError, or Interrupted after SIGINT or SIGTERM.
        """
        # Before the folder is made: what is refused leaves nothing.
        early = None if job.folder.is_dir() else self._pipeline(job)
        run = self.open(job)
        with run.held(patience):
            if record := run.record():
                return record
            return render(job.config, early or self._pipeline(job), run, listeners).record

    def _pipeline(self, job: Job) -> Pipeline:
        if self.pull:
            self._fetch(job)
        return Pipeline(job.config, self.device, cache=self.cache)

    def _fetch(self, job: Job) -> None:
        """Fetch the job's weights that are missing here; processes that want the same ones wait for each other."""
        for absent in missing(need.at(self.places) for need in requirements(job.config)):
            if absent.fetchable:
                install.pull(absent.need.name)
