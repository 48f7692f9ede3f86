"""Show a run's progress: a bar with losses and time left, and a preview if the terminal can show one."""

import time

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from vqclip.base import device as devices
from vqclip.base.errors import visible
from vqclip.cli.display.console import Display, can_redraw, duration, shows_true_colour
from vqclip.cli.display.table import cut
from vqclip.cli.display.terminal_images import half_blocks
from vqclip.media.image import to_pil
from vqclip.pipeline.events import Stepped
from vqclip.weights.catalog import human

REFRESH = 0.5  # seconds between two reads of the losses, each of which waits for the device
PREVIEW_COLUMNS = 40
LINE_EVERY = 10.0  # seconds, where there is no terminal


class Reporter(Display):
    """Report an image's steps; this base class prints nothing."""

    def step(self, event: Stepped) -> None: ...


class Pace:
    """Measure the steps a second and the time left, from the first step that is seen on."""

    def __init__(self) -> None:
        self.began, self.done, self.steps = time.monotonic(), 0, 0
        self.before: int | None = None  # steps that were done before

    def advance(self, event: Stepped) -> None:
        if self.before is None:
            self.before = event.done - 1
        self.done, self.steps = event.done, event.steps

    @property
    def seconds(self) -> float:
        """Give the seconds of a step."""
        return (time.monotonic() - self.began) / max(1, self.done - (self.before or 0))

    @property
    def left(self) -> str:
        return duration(self.seconds * (self.steps - self.done))

    def __str__(self) -> str:
        """Give steps a second, or seconds a step where these are more than one."""
        seconds = max(self.seconds, 1e-6)
        return (
            f"{seconds:.1f} s a step"
            if seconds > 1
            else f"{1 / seconds:.{0 if seconds < 0.01 else 1}f} steps/s"
        )


class PlainReport(Reporter):
    """Print a line every ten seconds, and one for the last step, for logs and pipes."""

    def __init__(self, console: Console):
        self.console, self.pace, self.printed = console, Pace(), time.monotonic()

    def step(self, event: Stepped) -> None:
        self.pace.advance(event)
        if time.monotonic() - self.printed < LINE_EVERY and event.done < event.steps:
            return
        self.printed = time.monotonic()
        facts = f"{self.pace}, {memory_of(event)}" + (
            f", {self.pace.left} left" if event.done < event.steps else ""
        )
        line = f"step      {event.done}/{event.steps}{frame_of(event)}  {losses(event)}  {facts}"
        self.console.print(Text(line), soft_wrap=True)


class Bar:
    """Hold a progress bar with steps, pace and time left, which is not drawn by itself."""

    def __init__(self, console: Console):
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TextColumn("{task.fields[facts]}"),
            console=console, auto_refresh=False,
        )  # fmt: skip
        self.task = self.progress.add_task("rendering", total=None, facts="")
        self.pace, self.updated = Pace(), float("-inf")

    def advance(self, event: Stepped, every: float) -> bool:
        """Take in a step; tell whether the bar is due to be drawn, `every` so many seconds and at the last step."""
        self.pace.advance(event)
        if time.monotonic() - self.updated < every and event.done < event.steps:
            return False
        self.updated = time.monotonic()
        self.progress.update(
            self.task, completed=event.done, total=event.steps, description=f"rendering{frame_of(event)}",
            facts=f"{self.pace}  {self.pace.left} left",
        )  # fmt: skip
        return True


class LiveReport(Reporter):
    """Redraw a progress bar in place, below a preview in half blocks if the terminal has true colour."""

    def __init__(self, console: Console):
        self.shows_image = shows_true_colour(console) and console.width >= PREVIEW_COLUMNS
        self.bar = Bar(console)
        self.context = self.live = Live(
            self.bar.progress, console=console, auto_refresh=False, transient=True
        )

    def step(self, event: Stepped) -> None:
        if not self.bar.advance(event, REFRESH):
            return
        parts: list[RenderableType] = [preview(event)] if self.shows_image else []
        text = f"{memory_of(event)}  {losses(event)}"
        parts += [self.bar.progress, Text(text, overflow="ellipsis", no_wrap=True)]
        self.live.update(Group(*parts), refresh=True)


def memory_of(event: Stepped) -> str:
    """Say how much memory the device has given this process so far, or the system, on a CPU."""
    return f"{human(devices.used_memory(event.step.image.device))} of memory"


def frame_of(event: Stepped) -> str:
    """Name a step's frame of a film; give nothing for a still."""
    return f"  frame {event.step.frame + 1}/{event.frames}" if event.frames > 1 else ""


def losses(event: Stepped, most: int = 3) -> str:
    """Format the sum of the losses, and the first ones by name if there are several."""
    numbers = event.numbers
    parts = [f"{cut(visible(name), 24)} {loss:.3f}" for name, loss in list(numbers.items())[:most]]
    return f"loss {sum(numbers.values()):.3f}" + (f" ({', '.join(parts)})" if len(numbers) > 1 else "")


def preview(event: Stepped) -> Text:
    """Draw the image in characters."""
    image = to_pil(event.step.image)
    columns = max(1, min(PREVIEW_COLUMNS, PREVIEW_COLUMNS * image.width // image.height))
    rows = max(1, round(columns * image.height / image.width / 2))
    return half_blocks(image, columns, rows)


def reporter(console: Console, quiet: bool) -> Reporter:
    """Make the report that suits the console."""
    if quiet:
        return Reporter()
    return LiveReport(console) if can_redraw(console) else PlainReport(console)
