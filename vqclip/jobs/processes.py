"""The launcher that does jobs in processes of this machine, each with a device and models of its own."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from vqclip.jobs.launcher import RETRIES, Event, Failed, Finished, Launcher, OnEvent, run_job
from vqclip.jobs.worker import Worker
from vqclip.pipeline.render import Interrupted
from vqclip.runs.job import Job

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
    pipe: "Connection[tuple[int, Job] | None, Event]"
    job: int


def processes(specs: Sequence[WorkerSpec], pull: bool = False) -> Launcher:
    """A Launcher with a worker in each seat. A job whose worker dies is tried again, twice at the most."""

    def launch(jobs: Sequence[Job], on_event: OnEvent) -> None:
        _WorkerPool(specs, pull, jobs, on_event).run()

    return launch


class _WorkerPool:
    """The workers of one launch."""

    def __init__(self, specs: Sequence[WorkerSpec], pull: bool, jobs: Sequence[Job], on_event: OnEvent):
        self.specs, self.pull, self.jobs, self.on_event = specs, pull, jobs, on_event
        self.waiting, self.deaths = deque(range(len(jobs))), Counter[int]()
        self.busy: list[WorkerProcess] = []

    def run(self) -> None:
        try:
            for spec in self.specs[: len(self.jobs)]:
                self._start(spec)
            while self.busy:
                ready = wait([worker.pipe for worker in self.busy])
                for worker in [worker for worker in self.busy if worker.pipe in ready]:
                    self._on_message(worker)
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
        with _ignoring_interrupts():
            process.start()
        theirs.close()  # so that reading from a dead worker ends
        worker = WorkerProcess(spec, process, ours, self.waiting.popleft())
        self.busy.append(worker)
        self._assign(worker)

    def _on_message(self, worker: WorkerProcess) -> None:
        """Hear what a worker says, and give it the next job at the end of one."""
        try:
            event = worker.pipe.recv()
        except (EOFError, OSError):
            return self._on_death(worker)
        self.on_event(event)
        if isinstance(event, Finished | Failed):
            if self.waiting:
                worker.job = self.waiting.popleft()
                self._assign(worker)
            else:
                self._stop(worker)
        return None

    def _assign(self, worker: WorkerProcess) -> None:
        with contextlib.suppress(OSError):  # it is dead, as reading from it will tell
            worker.pipe.send((worker.job, self.jobs[worker.job]))

    def _on_death(self, worker: WorkerProcess) -> None:
        """A worker is dead: its job goes to another, unless it has killed too many."""
        self.busy.remove(worker)
        worker.process.join()
        self.deaths[worker.job] += 1
        if self.deaths[worker.job] > RETRIES:
            how = f"the last by {_cause(worker.process.exitcode)}"
            cause = f"{self.deaths[worker.job]} workers died of it, {how}"
            self.on_event(Failed(worker.job, worker.spec.name, cause))
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


def _worker_main(pipe: "Connection[Event, tuple[int, Job] | None]", spec: WorkerSpec, pull: bool) -> None:
    """A worker's life, out of the terminal's reach: the launcher alone hears Ctrl-C, and ends its workers once."""
    if hasattr(os, "setsid"):
        os.setsid()
    worker = Worker(spec.device, spec.threads, pull)
    with contextlib.suppress(Interrupted, EOFError, ConnectionError, KeyboardInterrupt):
        while (task := pipe.recv()) is not None:
            run_job(*task, worker, spec.name, pipe.send)


def _cause(code: int | None) -> str:
    """What a process died of, in words."""
    if code is not None and code < 0:
        return f"{signal.Signals(-code).name} (is there enough memory?)"
    return f"leaving with exit code {code}"


@contextlib.contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """Processes that start within don't hear Ctrl-C until they are out of its reach."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
