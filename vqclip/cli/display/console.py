"""Print results on stdout, and progress output and errors on stderr."""

import contextlib
import io
import json
import logging
import os
import sys
from types import TracebackType
from typing import IO, Any, Self, cast

from rich.console import Console
from rich.text import Text

from vqclip.base.errors import SaveError, cause, visible


class _Stderr(io.TextIOBase):
    """Write to sys.stderr as long as somebody reads it: a terminal that was closed must not end a run."""

    def write(self, text: str) -> int:
        return self._try("write", text) or len(text)

    def flush(self) -> None:
        self._try("flush")

    def isatty(self) -> bool:
        return bool(sys.stderr and sys.stderr.isatty())

    def fileno(self) -> int:
        return self._stream().fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return sys.stderr.encoding

    @staticmethod
    def _stream() -> IO[str]:
        """Give sys.stderr itself: while rich draws a bar, a proxy in its place sends all that is written back here."""
        return getattr(sys.stderr, "rich_proxied_file", sys.stderr)

    @classmethod
    def _try(cls, method: str, *words: str) -> Any:
        try:
            return getattr(cls._stream(), method)(*words)
        except OSError:
            with contextlib.suppress(OSError, ValueError):  # Python would write the rest at exit, and fail
                os.dup2(os.open(os.devnull, os.O_WRONLY), cls._stream().fileno())
        return None


stderr = Console(file=cast(IO[str], _Stderr()), highlight=False)


def can_redraw(console: Console) -> bool:
    """Tell whether a console can replace what it shows; a terminal with TERM=dumb can't."""
    return console.is_terminal and not console.is_dumb_terminal


def shows_true_colour(console: Console) -> bool:
    """Tell whether a console can show an image in half blocks; with NO_COLOR it shows no colours."""
    return console.color_system == "truecolor" and not console.no_color


def spell_any_letter() -> None:
    """Make both streams escape letters that their encoding lacks, instead of raising UnicodeEncodeError."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def result(line: str) -> None:
    """Print one result on stdout without colours or wrapping; raises SaveError where that can't be written."""
    shown = "\n".join(map(visible, line.split("\n"))) if sys.stdout and sys.stdout.isatty() else line
    result_raw(shown + "\n", line)


def result_raw(text: str, line: str = "an image") -> None:
    """Print characters on stdout as they are; raises SaveError where that can't be done, with the `line` in it."""
    try:
        print(text, end="", flush=True)
    except OSError as error:
        with contextlib.suppress(
            OSError, ValueError
        ):  # send the unwritten rest to /dev/null, or Python fails on it at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SaveError(f"stdout can't be written: {cause(error)}; the result: {cut(line)}") from None


def cut(line: str, most: int = 300) -> str:
    """Cut a result that is no path or name, such as a whole config, to what an error's line can hold."""
    return line if len(line) <= most else f"{line[:most]}…"


def result_json(values: dict[str, Any]) -> None:
    result(visible(json.dumps(values, ensure_ascii=False)))


def result_topics(values: dict[str, Any]) -> None:
    """Print a result in lines with topics; a list takes a line for each item."""
    for topic, value in values.items():
        for i, line in enumerate(value if isinstance(value, list) else [value]):
            result(f"{topic if i == 0 else '':<10} {line}")


def say(topic: str, text: str) -> None:
    """Print a line of progress output: its topic and its text."""
    stderr.print(Text.assemble((f"{topic:<10}", "dim"), visible(text)), soft_wrap=True)


def complain(text: str) -> None:
    """Print an error as one line on stderr."""
    stderr.print(Text.assemble(("vqclip: ", "bold red"), visible(" ".join(text.split()))), soft_wrap=True)


def duration(seconds: float | None) -> str:
    """Format seconds: 42 s, 3 min, 1 h 5 min."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


class Remarks(logging.Handler):
    """Print the library's warnings to stderr, each text once in a command."""

    def __init__(self) -> None:
        super().__init__()
        self._printed: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = visible(record.getMessage())
        if text not in self._printed:
            self._printed.add(text)
            stderr.print(Text.assemble((f"{'note':<10}", "yellow"), text), soft_wrap=True)


def listen_to_library(quiet: bool) -> None:
    logger = logging.getLogger("vqclip")
    logger.handlers, logger.propagate = [] if quiet else [Remarks()], False
    if quiet:
        logger.addHandler(logging.NullHandler())


def obey(offline: bool) -> None:
    """Apply --offline to this process and its libraries, by environment variables."""
    if offline:
        os.environ["VQCLIP_OFFLINE"] = os.environ["HF_HUB_OFFLINE"] = "1"


class Display:
    """Show a command's progress inside a `with` block; this base class shows nothing."""

    context: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()

    def __enter__(self) -> Self:
        self.context.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.context.__exit__(kind, error, trace)
