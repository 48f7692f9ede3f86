"""Show a run's progress: a bar with losses and time left, and a preview if the terminal can show one."""

import time

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from vqclip.base.errors import visible
from vqclip.cli.display.console import Display
from vqclip.media.image import to_pil
from vqclip.pipeline.events import Stepped

REFRESH = 0.5  # seconds between two reads of the losses, each of which waits for the device
PREVIEW_COLUMNS = 40


class Reporter(Display):
    """Report an image's steps; this base class prints nothing."""

    def step(self, event: Stepped) -> None: ...


class PlainReport(Reporter):
    """Print a line every tenth of the steps, for logs and pipes."""

    def __init__(self, console: Console):
        self.console, self.began = console, time.monotonic()
        self.before = 0  # steps that were done before this report

    def step(self, event: Stepped) -> None:
        done, steps = event.done, event.steps
        self.before = self.before or done - 1
        if done * 10 // steps > (done - 1) * 10 // steps:
            left = (time.monotonic() - self.began) / (done - self.before) * (steps - done)
            line = f"step      {done}/{steps}{frame_of(event)}  {losses(event)}  {left:.0f} s left"
            self.console.print(Text(line), soft_wrap=True)


class LiveReport(Reporter):
    """Redraw a progress bar in place, below a preview in half blocks if the terminal has true colour."""

    def __init__(self, console: Console):
        self.shows_picture = console.color_system == "truecolor" and console.width >= PREVIEW_COLUMNS
        self.progress = progress_bar(console)
        self.task = self.progress.add_task("rendering", total=None)
        self.context = self.live = Live(self.progress, console=console, auto_refresh=False, transient=True)
        self.looked = 0.0

    def step(self, event: Stepped) -> None:
        done, steps = event.done, event.steps
        self.progress.update(
            self.task, completed=done, total=steps, description=f"rendering{frame_of(event)}"
        )
        if time.monotonic() - self.looked < REFRESH and done < steps:
            return
        self.looked = time.monotonic()
        parts: list[RenderableType] = [preview(event)] if self.shows_picture else []
        parts += [self.progress, Text(losses(event), overflow="ellipsis", no_wrap=True)]
        self.live.update(Group(*parts), refresh=True)


def progress_bar(console: Console) -> Progress:
    """Make a progress bar with the numbers of steps and the time left, which is not drawn by itself."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, auto_refresh=False)


def frame_of(event: Stepped) -> str:
    """Name a step's frame of a film; give nothing for a still."""
    return f"  frame {event.step.frame + 1}/{event.frames}" if event.frames > 1 else ""


def losses(event: Stepped, most: int = 3) -> str:
    """Format the sum of the losses, and the first ones by name if there are several."""
    numbers = event.numbers
    parts = [f"{visible(name[-24:])} {loss:.3f}" for name, loss in list(numbers.items())[:most]]
    return f"loss {sum(numbers.values()):.3f}" + (f" ({', '.join(parts)})" if len(numbers) > 1 else "")


def preview(event: Stepped) -> Text:
    """Draw the image in characters: each is an upper half block, which shows two pixels, one above the other."""
    image = to_pil(event.step.image)
    columns = max(1, min(PREVIEW_COLUMNS, PREVIEW_COLUMNS * image.width // image.height))
    rows = max(1, round(columns * image.height / image.width / 2))
    small = np.asarray(image.resize((columns, 2 * rows)))
    text = Text()
    for row in range(rows):
        for column in range(columns):
            above, below = (f"rgb({r},{g},{b})" for r, g, b in small[2 * row : 2 * row + 2, column])
            text.append("▀", style=f"{above} on {below}")
        text.append("\n")
    return text


def reporter(console: Console, quiet: bool) -> Reporter:
    """Make the report that suits the console."""
    if quiet:
        return Reporter()
    return LiveReport(console) if console.is_terminal else PlainReport(console)
