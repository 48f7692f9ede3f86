"""Define the errors, each with its exit code.

    VqclipError          1  the work failed
    ├── UsageError       2  the request can't be carried out as written
    │   ├── ConfigError     a key, a type or a value of the Config
    │   ├── PromptError     a prompt that can't be parsed
    │   ├── ImageError      an image that can't be read
    │   └── SourceError     a video that isn't there or can't be read (a VideoError, too)
    ├── WeightsError     3  a model is missing, damaged, or refused
    ├── RunError         4  a run folder that can't be used
    │   └── InUse           a folder that another process works in
    ├── OutOfMemory      1  an image that this machine lacks the memory for
    ├── NotFinite        1  losses that are infinite or no numbers
    ├── SaveError        1  an image that can't be written
    └── VideoError       1  a video that can't be read or written, or no ffmpeg for it

A message is one line: what was given, what is allowed, what to type next.
"""

import difflib
import re
import reprlib
from collections.abc import Iterable
from typing import Any


class VqclipError(Exception):
    """Root of everything that vqclip raises on purpose; its text is one line, whatever was given."""

    exit_code = 1

    def __str__(self) -> str:
        return visible(super().__str__())


class UsageError(VqclipError):
    exit_code = 2


class ConfigError(UsageError):
    pass


class PromptError(UsageError):
    pass


class ImageError(UsageError):
    pass


class WeightsError(VqclipError):
    exit_code = 3


class RunError(VqclipError):
    exit_code = 4


class InUse(RunError):  # noqa: N818  # as the operating systems have it
    pass


class OutOfMemory(VqclipError):  # noqa: N818  # as torch calls it
    pass


class NotFinite(VqclipError):  # noqa: N818  # as IEEE 754 has it
    pass


class SaveError(VqclipError):
    pass


class VideoError(VqclipError):
    pass


class SourceError(UsageError, VideoError):
    exit_code = 2


def cause(error: OSError) -> str:
    """Return the operating system's message of an error, without number and path."""
    return (error.strerror or str(error)).lower()


def spelled(path: object) -> str:
    """Return a path as it was typed: a Path leaves out one slash of a URL's two."""
    return re.sub(r"^(https?|ftp|file|s3|gs):/(?=[^/])", r"\1://", str(path))


def is_url(path: object) -> bool:
    return re.match(r"(https?|ftp|file|s3|gs)://", spelled(path)) is not None


def suggest(name: str, known: Iterable[str], most: int = 3) -> str:
    """Return '; did you mean X or Y?' for the nearest known names, or '' if none is near."""
    folded = {candidate.lower(): candidate for candidate in known}
    near = [folded[match] for match in difflib.get_close_matches(name.lower(), folded, most, cutoff=0.6)]
    return f"; did you mean {' or '.join(near)}?" if near else ""


_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxlist, _SHORT.maxdict = 3, 4, 4
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60


def shorten(value: Any) -> str:
    """Return a value's Python spelling, cut to the length that fits into an error message."""
    return _SHORT.repr(value)


def in_words(value: Any) -> str:
    """Say in plain words what plain data is, as in "a text" or "a list"."""
    if value is None:
        return "nothing"
    kinds = {
        bool: "true or false", str: "a text", int: "a number", float: "a number",
        dict: "keys with values", list: "a list",
    }  # fmt: skip
    return next((words for kind, words in kinds.items() if isinstance(value, kind)), "something else")


# What moves a terminal's cursor, ends its lines, turns its letters' direction, or is half a letter.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """Return a text with its control characters escaped as in JSON. The text may be JSON, on one line."""
    return _CONTROL.sub(lambda sign: f"\\u{ord(sign[0]):04x}", text)
