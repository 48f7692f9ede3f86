"""Show the progress of a Session's events (`vqclip.show`), for notebooks and scripts."""

from collections.abc import Iterable

from rich.console import Console

from vqclip.base.errors import VqclipError
from vqclip.cli.display.report import reporter
from vqclip.pipeline.events import Event, Finished, Result, Stepped, Stopped


def show(events: Iterable[Event], console: Console | None = None) -> Result:
    """Iterate to the end with a progress report, and return the last result, which a notebook shows as an image.

    In a terminal the report is a bar, with a preview where colours are true; elsewhere a line every ten seconds.
    Raises VqclipError where nothing was painted.

    >>> vqclip.show(session.generate("a red apple"))  # doctest: +SKIP
    """
    made = None
    with reporter(console or Console(), quiet=False) as report:
        for event in events:
            if isinstance(event, Stepped):
                report.step(event)
            elif isinstance(event, Finished | Stopped):
                made = event.result
    if made is None:
        raise VqclipError("nothing was painted")
    return made
