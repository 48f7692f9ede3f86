"""Launch jobs in processes of this machine, each with its own device and models."""

import contextlib
import multiprocessing
import os
import signal
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from vqclip.base import runtime
from vqclip.base.stop import StopToken
from vqclip.jobs.launcher import RETRIES, JobEvent, JobEvents, Launcher, run_job
from vqclip.jobs.worker import Worker
from vqclip.pipeline.events import Failed
from vqclip.runs.job import Job

LISTEN_EVERY = 0.2  # seconds between two checks of the StopToken
GRACE = 60.0  # seconds for a worker to end its step and save a snapshot


@dataclass(frozen=True)
class WorkerSpec:
    """Specify a worker: its name, its device, and its number of CPU threads."""

    name: str
    device: str
    threads: int | None = None


@dataclass
class WorkerProcess:
    spec: WorkerSpec
    process: BaseProcess
    pipe: "Connection[tuple[int, Job] | None, JobEvent]"
    job: int


def processes(specs: Sequence[WorkerSpec], pull: bool = False) -> Launcher:
    """Make a Launcher with a process for each WorkerSpec. A job whose worker dies is retried twice at most."""

    def launch(jobs: Sequence[Job], stop: StopToken) -> JobEvents:
        yield from _WorkerPool(specs, pull, jobs).run(stop)

    return launch


class _WorkerPool:
    """Run the worker processes of one launch."""

    def __init__(self, specs: Sequence[WorkerSpec], pull: bool, jobs: Sequence[Job]):
        self.specs, self.pull, self.jobs = specs, pull, jobs
        self.waiting, self.deaths = deque(range(len(jobs))), Counter[int]()
        self.busy: list[WorkerProcess] = []

    def run(self, stop: StopToken) -> JobEvents:
        try:
            for spec in self.specs[: len(self.jobs)]:
                self._start(spec)
            while self.busy and not stop.stopped:
                ready = wait([worker.pipe for worker in self.busy], LISTEN_EVERY)
                for worker in [worker for worker in self.busy if worker.pipe in ready]:
                    yield from self._on_message(worker)
        finally:
            self._stop_all()

    def _start(self, spec: WorkerSpec) -> None:
        """Start a worker on the next waiting job, if there is one."""
        if not self.waiting:
            return
        spawn = multiprocessing.get_context("spawn")
        ours, theirs = spawn.Pipe()
        process = spawn.Process(
            target=_worker_main, args=(theirs, spec, self.pull), name=f"vqclip {spec.name}", daemon=True
        )
        with runtime.shielded_children():
            process.start()
        theirs.close()  # so that reading from a dead worker raises EOFError
        worker = WorkerProcess(spec, process, ours, self.waiting.popleft())
        self.busy.append(worker)
        self._assign(worker)

    def _on_message(self, worker: WorkerProcess) -> JobEvents:
        """Yield a worker's event, and assign the next job when its job has ended."""
        try:
            event = worker.pipe.recv()
        except (EOFError, OSError):
            yield from self._on_death(worker)
            return
        if event.is_end and self.waiting:
            worker.job = self.waiting.popleft()
            self._assign(worker)
        elif event.is_end:
            self._stop(worker)
        yield event

    def _assign(self, worker: WorkerProcess) -> None:
        with contextlib.suppress(OSError):  # the worker is dead; the next read notices
            worker.pipe.send((worker.job, self.jobs[worker.job]))

    def _on_death(self, worker: WorkerProcess) -> JobEvents:
        """Retry a dead worker's job on a new worker, or fail the job after too many deaths."""
        self.busy.remove(worker)
        worker.process.join()
        self.deaths[worker.job] += 1
        if self.deaths[worker.job] > RETRIES:
            how = f"the last by {_cause(worker.process.exitcode)}"
            cause = f"{self.deaths[worker.job]} workers died of it, {how}"
            yield JobEvent(worker.job, worker.spec.name, Failed(cause, self.jobs[worker.job].folder))
        else:
            self.waiting.appendleft(worker.job)
        self._start(worker.spec)

    def _stop(self, worker: WorkerProcess) -> None:
        """End an idle worker."""
        self.busy.remove(worker)
        with contextlib.suppress(OSError):
            worker.pipe.send(None)
        worker.process.join(GRACE)
        worker.pipe.close()

    def _stop_all(self) -> None:
        """Stop all busy workers, which save a snapshot first; kill those that take too long."""
        for worker in self.busy:
            worker.process.terminate()
        for worker in self.busy:
            worker.process.join(GRACE)
            worker.process.kill()
            worker.pipe.close()


def _worker_main(pipe: "Connection[JobEvent, tuple[int, Job] | None]", spec: WorkerSpec, pull: bool) -> None:
    """Run jobs in a process. It leaves the terminal's group: only the launcher gets Ctrl-C, and stops it once."""
    if hasattr(os, "setsid"):
        os.setsid()
    runtime.use_large_pages()
    runtime.spin_briefly()
    worker, stop = Worker(spec.device, spec.threads, pull, owns_process=True), StopToken()
    with contextlib.suppress(EOFError, ConnectionError, KeyboardInterrupt), runtime.stopping_on_signals(stop):
        while not stop.stopped and (task := pipe.recv()) is not None:
            for event in run_job(*task, worker, spec.name, stop):
                pipe.send(event)


def _cause(code: int | None) -> str:
    """Say how a process died."""
    if code is not None and code < 0:
        return f"{signal.Signals(-code).name} (is there enough memory?)"
    return f"leaving with exit code {code}"
