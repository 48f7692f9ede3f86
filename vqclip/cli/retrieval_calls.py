"""Open a Session's retrieval for the commands, and print what its generators yield. Opening loads torch."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bar

from vqclip.cli.display.console import can_redraw, complain, listen_to_library, obey, say, stderr
from vqclip.retrieval.chosen import chosen_perceptors
from vqclip.retrieval.records import Progress, Skipped, Waiting

if TYPE_CHECKING:
    from vqclip.retrieval.retrieval import Retrieval

Item = TypeVar("Item")


def open_retrieval(
    models: Sequence[str], device: str, *, pull: bool, offline: bool, quiet: bool
) -> "Retrieval":
    """See that the models' weights are here, and open the retrieval. Raises WeightsError."""
    from vqclip.cli.provide import provide  # noqa: PLC0415
    from vqclip.session import Session  # noqa: PLC0415

    obey(offline)
    listen_to_library(quiet)
    needs = [need for entry in chosen_perceptors(models) for need in entry.requirements()]
    provide(needs, pull=pull, quiet=quiet, larger="vqclip models list")
    return Session(device, pull=pull, owns_process=True).retrieval


def shown(records: Iterable[Item | Skipped | Progress | Waiting], quiet: bool) -> Iterator[Item]:
    """Print skipped files and progress to stderr, and yield the other records.

    Exits with 2 if files were skipped and nothing else came, and with 130 at Ctrl-C.
    """
    return _shown(records, quiet, [])


@contextlib.contextmanager
def shown_of_named(
    records: Iterable[Item | Skipped | Progress | Waiting], quiet: bool
) -> Iterator[Iterator[Item]]:
    """Give `shown` of files that the command line names: if some were skipped, exit with 1 after the block."""
    skipped: list[Skipped] = []
    yield _shown(records, quiet, skipped)
    if skipped:
        raise typer.Exit(1)


def _shown(
    records: Iterable[Item | Skipped | Progress | Waiting], quiet: bool, skipped: list[Skipped]
) -> Iterator[Item]:
    found = 0
    columns = (TextColumn("{task.description}", style="dim"), BarColumn(), MofNCompleteColumn())
    with Bar(*columns, console=stderr, transient=True, disable=quiet or not can_redraw(stderr)) as bar:
        task = bar.add_task("reading", total=None, visible=False)
        try:
            for record in records:
                match record:
                    case Progress(done=done, total=total):
                        bar.update(task, completed=done, total=total, visible=done < total)
                    case Waiting(cause=cause):
                        say("waiting", cause)
                    case Skipped(cause=cause):
                        skipped.append(record)
                        complain(cause)
                    case _:
                        found += 1
                        bar.update(task, visible=False)
                        yield record
        except KeyboardInterrupt:
            complain("interrupted; what was indexed so far stays")
            raise typer.Exit(130) from None
    if skipped and not found:
        raise typer.Exit(2)
