"""Print results as tables with bars, where stdout is a terminal."""

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from vqclip.base.errors import visible


def on_terminal() -> bool:
    """Tell whether results go to a terminal, where they are shown as tables."""
    return bool(sys.stdout and sys.stdout.isatty())


def print_shares(title: str, shares: Sequence[tuple[str, float]]) -> None:
    """Print a title, and below it each label with its share of one as a bar."""
    console = Console(highlight=False)
    bar = max(1, min(24, console.width // 3))
    table = Table.grid(padding=(0, 1))
    number = len("100.0%")
    table.add_column(
        no_wrap=True, overflow="ellipsis", max_width=max(3, min(36, console.width - bar - number - 3))
    )
    table.add_column(width=bar)
    table.add_column(justify="right", no_wrap=True, width=number)
    for label, share in shares:
        table.add_row(
            Text(f"  {visible(label)}"), ProgressBar(total=1, completed=share, width=bar), f"{share:.1%}"
        )
    console.print(Text(visible(title), style="bold"), soft_wrap=True)
    console.print(table)


def print_scores(rows: Sequence[Sequence[str]], head: Sequence[str]) -> None:
    """Print rows whose last column is text of any length, under a head."""
    table = Table.grid(padding=(0, 2))
    for name in head[:-1]:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(head[-1], overflow="fold", ratio=1)
    table.show_header, table.header_style = True, "dim"
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    Console(highlight=False).print(table)
