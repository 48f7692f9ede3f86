"""The launcher that does jobs in processes of this machine, each with a device and models of its own."""

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

LISTEN_EVERY = 0.2  # seconds between two looks at the StopToken
GRACE = 60.0  # seconds for a worker to save what it has: a step at its end, and a snapshot


@dataclass(frozen=True)
class WorkerSpec:
    """A worker's place: its name, its device, and how many threads it may use on the CPU."""

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
    """A Launcher with a worker in each seat. A job whose worker dies is tried again, twice at the most."""

    def launch(jobs: Sequence[Job], stop: StopToken) -> JobEvents:
        yield from _WorkerPool(specs, pull, jobs).run(stop)

    return launch


class _WorkerPool:
    """The workers of one launch."""

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
        """Start a worker on the next job that waits, if one does."""
        if not self.waiting:
            return
        spawn = multiprocessing.get_context("spawn")
        ours, theirs = spawn.Pipe()
        process = spawn.Process(
            target=_worker_main, args=(theirs, spec, self.pull), name=f"vqclip {spec.name}", daemon=True
        )
        with runtime.shielded_children():
            process.start()
        theirs.close()  # so that reading from a dead worker ends
        worker = WorkerProcess(spec, process, ours, self.waiting.popleft())
        self.busy.append(worker)
        self._assign(worker)

    def _on_message(self, worker: WorkerProcess) -> JobEvents:
        """Pass on what a worker says, and give it the next job at the end of one."""
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
        with contextlib.suppress(OSError):  # it is dead, as reading from it will tell
            worker.pipe.send((worker.job, self.jobs[worker.job]))

    def _on_death(self, worker: WorkerProcess) -> JobEvents:
        """A worker is dead: its job goes to another, unless it has killed too many."""
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
        """Let a worker go home."""
        self.busy.remove(worker)
        with contextlib.suppress(OSError):
            worker.pipe.send(None)
        worker.process.join(GRACE)
        worker.pipe.close()

    def _stop_all(self) -> None:
        """Have everybody who still paints save it and end."""
        for worker in self.busy:
            worker.process.terminate()
        for worker in self.busy:
            worker.process.join(GRACE)
            worker.process.kill()
            worker.pipe.close()


def _worker_main(pipe: "Connection[JobEvent, tuple[int, Job] | None]", spec: WorkerSpec, pull: bool) -> None:
    """A worker's life, out of the terminal's reach: the launcher alone hears Ctrl-C, and ends its workers once."""
    if hasattr(os, "setsid"):
        os.setsid()
    runtime.use_large_pages()
    worker, stop = Worker(spec.device, spec.threads, pull, owns_process=True), StopToken()
    with contextlib.suppress(EOFError, ConnectionError, KeyboardInterrupt), runtime.stopping_on_signals(stop):
        while not stop.stopped and (task := pipe.recv()) is not None:
            for event in run_job(*task, worker, spec.name, stop):
                pipe.send(event)


def _cause(code: int | None) -> str:
    """What a process died of, in words."""
    if code is not None and code < 0:
        return f"{signal.Signals(-code).name} (is there enough memory?)"
    return f"leaving with exit code {code}"
