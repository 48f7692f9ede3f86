"""Run tasks one after the other on a Session, in a thread of their own."""

import io
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vqclip.base.errors import VqclipError
from vqclip.base.stop import StopToken
from vqclip.config.schema import Config
from vqclip.gallery.entry import Curve, rounded
from vqclip.gallery.find import run_id
from vqclip.media.image import to_pil
from vqclip.pipeline.events import Event, Events, Finished, Started, Stepped, Stopped
from vqclip.session import Session

SHOW_EVERY = 0.4  # seconds between two previews: reading an image waits for the device
MOST_POINTS = 200  # of a curve of losses; then every second one is dropped
MOST_ENDED = 20  # tasks that have ended and are still listed

WAITING, RUNNING, FINISHED, STOPPED, FAILED = "waiting", "running", "finished", "stopped", "failed"


@dataclass(eq=False)
class Task:
    """Hold one request, and how far it is. `start` calls the Session."""

    id: str
    prompt: str
    start: Callable[[StopToken], Events]
    state: str = WAITING
    seed: int | None = None
    done: int = 0
    steps: int = 0
    message: str = ""
    folder: Path | None = None
    points: list[dict[str, float]] = field(default_factory=list)  # losses, and the "step" that they belong to
    preview: bytes = b""
    version: int = 0  # of the preview
    token: StopToken = field(default_factory=StopToken)

    @property
    def curve(self) -> Curve:
        """Give the losses as columns; where a step doesn't have one, it is None."""
        points = self.points
        names = dict.fromkeys(name for point in points for name in point)
        return {name: [rounded(point.get(name)) for point in points] for name in names}

    def to_dict(self) -> dict[str, Any]:
        """Give the task as plain data for the page."""
        names = ("id", "prompt", "state", "done", "steps", "message", "curve", "version")
        run = run_id(self.folder) if self.folder else None
        return {name: getattr(self, name) for name in names} | {"seed": str(self.seed), "run": run}


class Queue:
    """Run tasks in their order, each to its end or until it is stopped; its methods may be called by any thread."""

    def __init__(self, session: Session, runs: Path):
        self.session, self.runs = session, runs
        self._tasks: dict[str, Task] = {}
        self._waiting: deque[Task] = deque()
        self._changed = threading.Condition()
        self._numbers = itertools.count(1)
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="queue")

    def start(self) -> None:
        """Begin with the tasks; until then they wait."""
        self._thread.start()

    def generate(self, config: Config) -> Task:
        """Queue an image or a film of a Config, in a new run folder."""
        task = self._task(
            " | ".join(config.prompts), lambda stop: self.session.generate(config, runs=self.runs, stop=stop)
        )
        task.seed = config.seed
        return self._add(task)

    def resume(self, folder: Path, config: Config) -> Task:
        """Queue the rest of a run."""
        task = self._task(" | ".join(config.prompts), lambda stop: self.session.resume(folder, stop=stop))
        task.seed, task.folder = config.seed, folder
        return self._add(task)

    def stop(self, task_id: str) -> Task | None:
        """Stop a task: one that waits is dropped, the running one ends after its step. Gives None if there is none."""
        with self._changed:
            task = self._tasks.get(task_id)
            if task and task in self._waiting:
                self._waiting.remove(task)
                task.state = STOPPED
            elif task:
                task.token.stop()
        return task

    def find(self, task_id: str) -> Task | None:
        """Give the task of this name, if it is still listed."""
        return self._tasks.get(task_id)

    def is_busy_with(self, folder: Path) -> bool:
        """Tell whether a run folder is waited for or worked in."""
        return any(task.folder == folder and task.state in (WAITING, RUNNING) for task in self.tasks)

    @property
    def tasks(self) -> Sequence[Task]:
        """List the tasks, the oldest first."""
        with self._changed:
            return list(self._tasks.values())

    def close(self) -> int:
        """Stop the running task, drop those that wait, and end the thread. Gives how many were dropped."""
        with self._changed:
            self._closed, dropped = True, len(self._waiting)
            self._waiting.clear()
            for task in self._tasks.values():
                task.token.stop()
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        return dropped

    def _task(self, prompt: str, start: Callable[[StopToken], Events]) -> Task:
        return Task(str(next(self._numbers)), prompt, start)

    def _add(self, task: Task) -> Task:
        with self._changed:
            ended = [old.id for old in self._tasks.values() if old.state not in (WAITING, RUNNING)]
            for name in ended[: -MOST_ENDED + 1]:
                del self._tasks[name]
            self._tasks[task.id] = task
            self._waiting.append(task)
            self._changed.notify_all()
        return task

    def _work(self) -> None:
        while task := self._next():
            try:
                with closing(task.start(task.token)) as events:
                    _follow(task, events)
            except VqclipError as error:
                task.state, task.message = FAILED, str(error)
            except Exception as error:  # one task's fault ends neither the thread nor the tasks that wait
                task.state, task.message = FAILED, f"unexpected {type(error).__name__}: {error}"

    def _next(self) -> Task | None:
        """Wait for a task and mark it as running; give None when the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return None
            task = self._waiting.popleft()
            task.state = RUNNING
            return task


def _follow(task: Task, events: Events) -> None:
    """Bring a task up to date with each event of its image."""
    shown = 0.0
    for event in events:
        match event:
            case Stepped(done=done, steps=steps):
                task.done, task.steps = done, steps
                if time.monotonic() - shown > SHOW_EVERY:
                    _show(task, event)
                    shown = time.monotonic()
            case _:
                _on_event(task, event)


def _on_event(task: Task, event: Event) -> None:
    match event:
        case Started(folder=folder):
            task.folder = folder
        case Finished(result=made):
            task.state, task.done = FINISHED, made.steps
        case Stopped(result=made):
            task.state, task.done = STOPPED, made.steps


def _show(task: Task, event: Stepped) -> None:
    """Read the step's image and losses; this waits for the device."""
    data = io.BytesIO()
    to_pil(event.step.image).save(data, format="JPEG", quality=90)
    points = task.points if len(task.points) < MOST_POINTS else task.points[::2]
    task.points = [*points, {"step": event.done, **event.numbers}]
    task.preview, task.version = data.getvalue(), task.version + 1
