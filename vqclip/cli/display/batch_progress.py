"""Show a batch's progress: each worker's job, its step, and the time left."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from vqclip.base.errors import visible
from vqclip.cli.display.console import Display, can_redraw, duration
from vqclip.jobs.launcher import JobEvent
from vqclip.pipeline.events import Failed, Finished, Progressed, Started

TITLE = 40  # characters of a prompt


@dataclass
class Row:
    """Hold the progress of a worker's job."""

    job: int
    began: float = field(default_factory=time.monotonic)
    step: int = 0
    steps: int = 0
    loss: float | None = None
    first: tuple[float, int] | None = None  # time and step of the first Progressed

    def advance(self, event: Progressed) -> None:
        self.step, self.steps, self.loss = event.step, event.steps, sum(event.losses.values())
        self.first = self.first or (time.monotonic(), event.step)

    @property
    def left(self) -> float | None:
        """Estimate the seconds left, once two different steps were reported."""
        if self.first is None or self.step == self.first[1]:
            return None
        return (time.monotonic() - self.first[0]) / (self.step - self.first[1]) * (self.steps - self.step)


class BatchProgress(Display):
    """Track the progress of a batch's jobs, and print nothing."""

    def __init__(self, titles: Sequence[str]):
        self.titles, self.rows = titles, dict[str, Row]()
        self.done = self.failed = 0
        self.began = time.monotonic()

    def on_event(self, event: JobEvent) -> None:
        match event.event:
            case Started():
                self.rows[event.worker] = Row(event.job)
            case Progressed() as progress if event.worker in self.rows:
                self.rows[event.worker].advance(progress)
            case Finished():
                self.done += 1
                self._clear(event)
            case Failed():
                self.failed += 1
                self._clear(event)

    def _clear(self, event: JobEvent) -> None:
        self.rows = {worker: row for worker, row in self.rows.items() if row.job != event.job}

    @property
    def summary(self) -> str:
        """Summarise how many jobs are done and failed, and how long the rest may take."""
        ended, failed = self.done + self.failed, f", {self.failed} failed" if self.failed else ""
        left = (time.monotonic() - self.began) / ended * (len(self.titles) - ended) if ended else None
        return f"{self.done} of {len(self.titles)} done{failed}{f', {duration(left)} left' if left else ''}"


class PlainBatchProgress(BatchProgress):
    """Print a line when a job starts and when it ends, for logs and pipes."""

    def __init__(self, titles: Sequence[str], console: Console):
        super().__init__(titles)
        self.console = console

    def on_event(self, event: JobEvent) -> None:
        super().on_event(event)
        match event.event:
            case Started():
                self._say("start", f"{self.titles[event.job][:TITLE]} ({event.worker})")
            case Finished(result=made):
                seconds = round(made.seconds, 2)
                self._say("made", f"{self.titles[event.job][:TITLE]} in {seconds} s; {self.summary}")

    def _say(self, topic: str, text: str) -> None:
        self.console.print(Text(f"{topic:<10}{text}"), soft_wrap=True)


class LiveBatchProgress(BatchProgress):
    """Redraw a table in place, with a row for each worker."""

    def __init__(self, titles: Sequence[str], console: Console):
        super().__init__(titles)
        # If stdout is a terminal, results are printed above the table; if it is a pipe, they are left as they are.
        both = sys.stdout.isatty()
        self.context = self.live = Live(
            console=console,
            get_renderable=self._table,
            refresh_per_second=2,
            transient=True,
            redirect_stdout=both,
        )

    def _table(self) -> Group:
        table = Table("worker", "rendering", "step", "loss", "left", box=None, header_style="dim")
        for worker, row in list(self.rows.items()):
            table.add_row(
                Text(worker), Text(self.titles[row.job][:TITLE]), f"{row.step}/{row.steps}" if row.steps else "",
                "" if row.loss is None else f"{row.loss:.3f}", duration(row.left),
            )  # fmt: skip
        return Group(table, Text(self.summary, style="dim"))


def batch_progress(console: Console, titles: Sequence[str], quiet: bool) -> BatchProgress:
    """Make the progress display that suits the console."""
    titles = [visible(title) for title in titles]
    if quiet:
        return BatchProgress(titles)
    return LiveBatchProgress(titles, console) if can_redraw(console) else PlainBatchProgress(titles, console)
