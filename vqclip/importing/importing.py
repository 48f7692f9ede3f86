"""Turn other programs' settings into configs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vqclip.base.errors import ConfigError, UsageError, cause, in_words, shorten
from vqclip.base.files import is_image
from vqclip.config import resolve, yaml12
from vqclip.importing import nerdyrodent, pixray, pytti
from vqclip.importing.table import Program, convert

PROGRAMS: Mapping[str, Program] = {
    each.name: each for each in (pixray.PROGRAM, nerdyrodent.PROGRAM, pytti.PROGRAM)
}


@dataclass(frozen=True)
class Imported:
    """A config's values, the program that the settings were for, and a line for each that has no counterpart."""

    program: str
    values: Mapping[str, Any]
    notes: list[str]

    @property
    def text(self) -> str:
        """The config as YAML."""
        return yaml12.dump({"version": resolve.VERSION, **self.values})


def read(source: str, program: str | None = None) -> Imported:
    """Read a file of settings, or a command line itself. Raises ConfigError."""
    text = _text(source)
    try:
        name = program or _detect(text)
        settings = nerdyrodent.settings(text) if name == "nerdyrodent" else _mapping(text)
        found, notes = convert(settings, PROGRAMS[name])
        values = _plain(found)
        resolve.resolve(values)  # so that the config will be read
    except UsageError as error:
        raise ConfigError(f"{shorten(source)}: {error}") from None
    return Imported(name, values, notes)


def _text(source: str) -> str:
    """The text of a file, or a command line that was given in its place."""
    if nerdyrodent.SCRIPT in source and " " in source:
        return source
    try:
        return Path(source).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{source} can't be read: {cause(error)}") from None
    except UnicodeDecodeError:
        what = "an image" if is_image(Path(source)) else "no text in UTF-8"
        raise ConfigError(f"{source} is {what}; name a file of settings") from None


def _detect(text: str) -> str:
    """Name the program whose arguments a text has most of."""
    if nerdyrodent.SCRIPT in text:
        return "nerdyrodent"
    names = set(_mapping(text))
    counts = {
        name: len(names & program.names()) for name, program in PROGRAMS.items() if name != "nerdyrodent"
    }
    best = max(counts, key=lambda name: counts[name])
    if list(counts.values()).count(counts[best]) > 1:
        raise ConfigError(f"it is unclear whose settings these are; add --from {' or '.join(PROGRAMS)}")
    return best


def _mapping(text: str) -> dict[str, Any]:
    values = yaml12.parse(text)
    if not isinstance(values, Mapping):
        raise ConfigError(
            f"it holds {in_words(values)}; settings are names with values, as in steps: 100, or a command line"
        )
    return {str(name): _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    """The same data without what a reader of YAML adds to numbers."""
    match value:
        case Mapping():
            return {str(name): _plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case bool():
            return value
        case int():
            return int(value)
        case float():
            return float(value)
    return value
