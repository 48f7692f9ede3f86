"""The live report of a painting: a bar with losses and time left, and the picture where the terminal can show it."""

import time

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from vqclip.base.errors import visible
from vqclip.cli.display.console import Display
from vqclip.config.timeline import Film
from vqclip.guidance.optimize import Step
from vqclip.media.image import to_pil

REFRESH = 0.5  # seconds between two looks at the numbers, each of which waits for the device
PREVIEW_COLUMNS = 40


class Reporter(Display):
    """A Listener with a beginning and an end; this one says nothing."""

    def step(self, step: Step) -> None: ...


class PlainReport(Reporter):
    """A line every tenth of the way, for logs and pipes."""

    def __init__(self, console: Console, film: Film):
        self.console, self.film, self.began = console, film, time.monotonic()
        self.before = 0  # steps that were done before this report

    def step(self, step: Step) -> None:
        done, steps = self.film.steps_before(step.frame) + step.index, self.film.steps
        self.before = self.before or done - 1
        if done * 10 // steps > (done - 1) * 10 // steps:
            left = (time.monotonic() - self.began) / (done - self.before) * (steps - done)
            line = f"step      {done}/{steps}{frame_of(step, self.film)}  {losses(step)}  {left:.0f} s left"
            self.console.print(Text(line), soft_wrap=True)


class LiveReport(Reporter):
    """A progress bar that stays in place, below a preview in half blocks where colours are true."""

    def __init__(self, console: Console, film: Film):
        self.film = film
        self.shows_picture = console.color_system == "truecolor" and console.width >= PREVIEW_COLUMNS
        self.progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console,
        )  # fmt: skip
        self.task = self.progress.add_task("painting", total=None)
        self.context = self.live = Live(self.progress, console=console, auto_refresh=False, transient=True)
        self.looked = 0.0

    def step(self, step: Step) -> None:
        done, steps = self.film.steps_before(step.frame) + step.index, self.film.steps
        self.progress.update(
            self.task, completed=done, total=steps, description=f"painting{frame_of(step, self.film)}"
        )
        if time.monotonic() - self.looked < REFRESH and done < steps:
            return
        self.looked = time.monotonic()
        parts: list[RenderableType] = [preview(step)] if self.shows_picture else []
        parts += [self.progress, Text(losses(step), overflow="ellipsis", no_wrap=True)]
        self.live.update(Group(*parts), refresh=True)


def frame_of(step: Step, film: Film) -> str:
    """Where in a film a step stands; nothing for a still."""
    return f"  frame {step.frame + 1}/{film.rendered_frames}" if film.rendered_frames > 1 else ""


def losses(step: Step, most: int = 3) -> str:
    """The sum, and where it is one of several losses, the first of them by name."""
    parts = [f"{visible(name[-24:])} {float(loss):.3f}" for name, loss in list(step.losses.items())[:most]]
    return f"loss {float(step.loss):.3f}" + (f" ({', '.join(parts)})" if len(step.losses) > 1 else "")


def preview(step: Step) -> Text:
    """The picture in characters: each is an upper half block, so it shows two pixels, one above the other."""
    image = to_pil(step.image)
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


def reporter(console: Console, quiet: bool, film: Film) -> Reporter:
    """The report on a film, or a still, that suits the stream."""
    if quiet:
        return Reporter()
    return LiveReport(console, film) if console.is_terminal else PlainReport(console, film)
