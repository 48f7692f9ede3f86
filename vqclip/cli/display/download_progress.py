"""Show a download's progress: its size, its speed, and the time left."""

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from vqclip.cli.display.console import Display, can_redraw
from vqclip.weights.catalog import human


class DownloadProgress(Display):
    """Show a bar on a terminal, lines elsewhere; call it with the bytes received and the total."""

    def __init__(self, console: Console, name: str, quiet: bool):
        self.console, self.name, self.quiet = console, name, quiet
        self.tenths = 0
        self.context = self.bar = Progress(
            TextColumn("fetching"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
            console=console, transient=True, disable=quiet or not can_redraw(console),
        )  # fmt: skip
        self.task = self.bar.add_task(name, total=None)

    def __call__(self, here: int, whole: int | None) -> None:
        self.bar.update(self.task, completed=here, total=whole)
        tenths = here * 10 // whole if whole else 0
        if tenths > self.tenths and not self.quiet and not can_redraw(self.console):
            self.tenths = tenths
            line = f"fetching  {self.name}  {human(here)} of {human(whole or here)}"
            self.console.print(Text(line), soft_wrap=True)
