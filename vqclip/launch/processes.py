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

from vqclip.job import Job
from vqclip.launch.contract import RETRIES, Event, Failed, Finished, Hear, Launcher, do
from vqclip.painter import Painter
from vqclip.render import Interrupted

GRACE = 60.0  # seconds for a worker to save what it has: a step at its end, and a snapshot


@dataclass(frozen=True)
class Seat:
    """A worker's place: its name, its device, and how many threads it may use on the CPU."""

    name: str
    device: str
    threads: int | None = None


@dataclass
class Worker:
    seat: Seat
    process: BaseProcess
    pipe: "Connection[tuple[int, Job] | None, Event]"
    job: int


def processes(seats: Sequence[Seat], pull: bool = False) -> Launcher:
    """A Launcher with a worker in each seat. A job whose worker dies is tried again, twice at the most."""

    def launch(jobs: Sequence[Job], hear: Hear) -> None:
        _Crew(seats, pull, jobs, hear).work()

    return launch


class _Crew:
    """The workers of one launch."""

    def __init__(self, seats: Sequence[Seat], pull: bool, jobs: Sequence[Job], hear: Hear):
        self.seats, self.pull, self.jobs, self.hear = seats, pull, jobs, hear
        self.waiting, self.deaths = deque(range(len(jobs))), Counter[int]()
        self.busy: list[Worker] = []

    def work(self) -> None:
        try:
            for seat in self.seats[: len(self.jobs)]:
                self._hire(seat)
            while self.busy:
                ready = wait([worker.pipe for worker in self.busy])
                for worker in [worker for worker in self.busy if worker.pipe in ready]:
                    self._attend(worker)
        finally:
            self._dismiss()

    def _hire(self, seat: Seat) -> None:
        """Start a worker on the next job that waits, if one does."""
        if not self.waiting:
            return
        spawn = multiprocessing.get_context("spawn")
        ours, theirs = spawn.Pipe()
        process = spawn.Process(
            target=_work, args=(theirs, seat, self.pull), name=f"vqclip {seat.name}", daemon=True
        )
        with _deaf():
            process.start()
        theirs.close()  # so that reading from a dead worker ends
        worker = Worker(seat, process, ours, self.waiting.popleft())
        self.busy.append(worker)
        self._hand(worker)

    def _attend(self, worker: Worker) -> None:
        """Hear what a worker says, and give it the next job at the end of one."""
        try:
            event = worker.pipe.recv()
        except (EOFError, OSError):
            return self._bury(worker)
        self.hear(event)
        if isinstance(event, Finished | Failed):
            if self.waiting:
                worker.job = self.waiting.popleft()
                self._hand(worker)
            else:
                self._release(worker)
        return None

    def _hand(self, worker: Worker) -> None:
        with contextlib.suppress(OSError):  # it is dead, as reading from it will tell
            worker.pipe.send((worker.job, self.jobs[worker.job]))

    def _bury(self, worker: Worker) -> None:
        """A worker is dead: its job goes to another, unless it has killed too many."""
        self.busy.remove(worker)
        worker.process.join()
        self.deaths[worker.job] += 1
        if self.deaths[worker.job] > RETRIES:
            how = f"the last by {_cause(worker.process.exitcode)}"
            reason = f"{self.deaths[worker.job]} workers died of it, {how}"
            self.hear(Failed(worker.job, worker.seat.name, reason))
        else:
            self.waiting.appendleft(worker.job)
        self._hire(worker.seat)

    def _release(self, worker: Worker) -> None:
        """Let a worker go home."""
        self.busy.remove(worker)
        with contextlib.suppress(OSError):
            worker.pipe.send(None)
        worker.process.join(GRACE)
        worker.pipe.close()

    def _dismiss(self) -> None:
        """Have everybody who still paints save it and end."""
        for worker in self.busy:
            worker.process.terminate()
        for worker in self.busy:
            worker.process.join(GRACE)
            worker.process.kill()
            worker.pipe.close()


def _work(pipe: "Connection[Event, tuple[int, Job] | None]", seat: Seat, pull: bool) -> None:
    """A worker's life, out of the terminal's reach: the launcher alone hears Ctrl-C, and ends its workers once."""
    if hasattr(os, "setsid"):
        os.setsid()
    painter = Painter(seat.device, seat.threads, pull)
    with contextlib.suppress(Interrupted, EOFError, ConnectionError, KeyboardInterrupt):
        while (task := pipe.recv()) is not None:
            do(*task, painter, seat.name, pipe.send)


def _cause(code: int | None) -> str:
    """What a process died of, in words."""
    if code is not None and code < 0:
        return f"{signal.Signals(-code).name} (is there enough memory?)"
    return f"leaving with exit code {code}"


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """Processes that start within don't hear Ctrl-C until they are out of its reach."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
