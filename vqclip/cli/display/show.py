"""Show the progress of a Session's events (`vqclip.show`), for notebooks and scripts."""

from collections.abc import Iterable

from rich.console import Console

from vqclip.base.errors import VqclipError
from vqclip.cli.display.notebook import NotebookReport, in_notebook
from vqclip.cli.display.report import reporter
from vqclip.pipeline.events import Event, Finished, Result, Stepped, Stopped


def show(events: Iterable[Event], console: Console | None = None) -> Result:
    """Iterate to the end with a progress report, and return the last result, which a notebook shows as an image.

    In a Jupyter notebook the report is a live image with a progress line, in a terminal a bar, with a preview where
    colours are true, and elsewhere a line every ten seconds.
    Raises VqclipError where no image was made.

    >>> vqclip.show(session.generate("a red apple"))  # doctest: +SKIP
    """
    made = None
    is_live = console is None and in_notebook()
    with NotebookReport() if is_live else reporter(console or Console(), quiet=False) as report:
        for event in events:
            if isinstance(event, Stepped):
                report.step(event)
            elif isinstance(event, Finished | Stopped):
                made = event.result
    if made is None:
        raise VqclipError("no image was made")
    return made
