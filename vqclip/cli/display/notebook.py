"""Show a run's progress in a Jupyter notebook: one live image, and a progress line below it."""

import io
import sys
from importlib import import_module
from typing import Any

from rich.console import Console, Group
from rich.text import Text

from vqclip.cli.display.report import Bar, Reporter, losses
from vqclip.media.image import to_pil
from vqclip.pipeline.events import Stepped

REFRESH = 1.0  # seconds between two images, each of which is encoded as PNG and sent to the browser
COLUMNS = 100


def in_notebook() -> bool:
    """Tell whether a notebook's kernel runs this process. Only an IPython that is imported already is asked."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


class NotebookReport(Reporter):
    """Keep two displays of a notebook up to date: the image, and a line with steps, time left and losses."""

    def __init__(self) -> None:
        self._display: Any = import_module("IPython.display").display
        self._console = Console(record=True, file=io.StringIO(), width=COLUMNS, force_jupyter=False)
        self._bar = Bar(self._console)
        self._handles: list[Any] = []

    def step(self, event: Stepped) -> None:
        if not self._bar.advance(event, REFRESH):
            return
        self._console.print(Group(self._bar.progress, Text(losses(event))))
        shown = [to_pil(event.step.image), _Line(self._console)]
        if not self._handles:
            self._handles = [self._display(each, display_id=True) for each in shown]
        else:
            for handle, each in zip(self._handles, shown, strict=True):
                handle.update(each)


class _Line:
    """Hold what was printed on a console that records, as text and as HTML, which notebooks prefer."""

    def __init__(self, console: Console):
        self._html = console.export_html(clear=False, inline_styles=True, code_format="<pre>{code}</pre>")
        self._text = console.export_text()

    def __repr__(self) -> str:
        return self._text

    def _repr_html_(self) -> str:
        return self._html
