"""Describe another program's arguments, and turn its settings into a config's values by such a table."""

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vqclip.base.errors import ConfigError, shorten
from vqclip.config import dotted, prompt
from vqclip.config.prompt import Kind, Prompt
from vqclip.config.schedule import LARGEST

_EMPTY: tuple[Any, ...] = (None, "", [], ())
_OFF: tuple[Any, ...] = (
    *_EMPTY,
    False,
    "none",
    "None",
    "0",
)  # what asks for nothing that would need a counterpart


@dataclass
class Given:
    """All settings of a file, with what is to be said about them."""

    settings: Mapping[str, Any]
    notes: list[str] = field(default_factory=list)
    argument: str = ""  # the one that is being converted

    def get(self, name: str, default: Any = None) -> Any:
        """Return a setting, or the program's default where the file hasn't got it."""
        value = self.settings.get(name)
        return default if value is None else value

    def number(self, name: str, default: float) -> float:
        """Return a setting as a number; raises ConfigError."""
        return number(self.get(name, default), name)

    def note(self, reason: str) -> None:
        """Say about the argument at hand, or a part of it, why it has no counterpart."""
        self.notes.append(f"{self.argument}: {reason}")


Convert = Callable[[Any, Given], Mapping[str, Any]]  # a value -> dotted keys of ours and their values


@dataclass(frozen=True)
class Argument:
    """An argument of another program, and what vqclip has for it.

    `keys` are what it becomes in a config, or an option of the command line; `reason` says why there is nothing, or
    what differs. Two parts of a program, such as two drawers, may each have an argument of the same name.
    """

    name: str
    keys: str = ""
    convert: Convert | None = None
    reason: str = ""
    part: str = ""
    flags: tuple[str, ...] = ()  # on its command line
    usual: tuple[Any, ...] = ()  # values that ask for nothing that vqclip doesn't do anyway
    takes_value: bool = True


@dataclass(frozen=True)
class Program:
    """Another program: its arguments, what holds where a setting isn't given, and which of its parts are in use."""

    name: str
    arguments: Sequence[Argument]
    ground: Callable[[Given], dict[str, Any]]  # values of a config, without the settings' own
    parts: Callable[[Mapping[str, Any]], set[str]] = lambda settings: set()
    spellings: Mapping[str, str] = field(default_factory=dict)  # other names of its arguments

    def names(self) -> set[str]:
        return {argument.name for argument in self.arguments}


def convert(settings: Mapping[str, Any], program: Program) -> tuple[dict[str, Any], list[str]]:
    """Return a config's values, and a line for each setting that has no counterpart."""
    settings = {program.spellings.get(name, name): value for name, value in settings.items()}
    given = Given(settings)
    values = program.ground(given)
    parts = program.parts(settings) | {""}
    for argument in program.arguments:
        if argument.name in settings and argument.part in parts:
            given.argument = argument.name
            for key, value in _converted(argument, settings[argument.name], given).items():
                add(values, key, value)
    unread = [name for name in settings if name not in {a.name for a in program.arguments if a.part in parts}]
    return values, given.notes + [f"{name}: {_why_unread(name, program)}" for name in unread]


def _converted(argument: Argument, value: Any, given: Given) -> Mapping[str, Any]:
    if value in ((*_EMPTY, *argument.usual) if argument.convert else (*_OFF, *argument.usual)):
        return {}
    if argument.convert:
        return argument.convert(value, given)
    given.note(argument.reason or f"this is an option: {argument.keys}")
    return {}


def _why_unread(name: str, program: Program) -> str:
    parts = [argument.part for argument in program.arguments if argument.name == name]
    if parts:
        return f"only {program.name}'s {' and '.join(parts)} reads it, and the settings don't use that"
    return f"{program.name} has no such argument"


def add(values: dict[str, Any], key: str, value: Any) -> None:
    """Set a dotted key; a list is appended to the one that is there, a tuple replaces it."""
    *sections, leaf = key.split(".")
    section: Any = values
    for name in sections:
        section = section.get(name, {})
    below = section.get(leaf)
    if isinstance(value, list) and isinstance(below, list):
        below += [item for item in value if item not in below]
    else:
        dotted.put(values, key, list(value) if isinstance(value, list) else value)


def to(key: str, change: Callable[[Any], Any] = lambda value: value) -> Convert:
    """Convert a value to that of one key."""
    return lambda value, given: {key: change(value)}


def folded(value: Any, given: Given) -> Mapping[str, Any]:
    """Leave the value to another argument, which reads it."""
    return {}


def number(value: Any, name: str) -> float:
    """Read a number that isn't beyond all bounds; raises ConfigError."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not abs(found) <= LARGEST:
        raise ConfigError(f"{name}: {shorten(value)} is no number; write one as in 0.5")
    return found


def pair(value: Any, name: str) -> tuple[int, int]:
    """Read two whole numbers, of a list or a text; raises ConfigError."""
    sides = value if isinstance(value, list | tuple) else re.findall(r"\d+", str(value))
    if len(sides) != 2:
        raise ConfigError(f"{name}: {shorten(value)} are not two numbers; write some as in [320, 180]")
    return whole(sides[0], name), whole(sides[1], name)


def whole(value: Any, name: str) -> int:
    return round(number(value, name))


def truth(value: Any) -> bool:
    """Read a switch, however it is spelled."""
    return str(value).strip().lower() in ("true", "yes", "t", "y", "1", "on")


def words(value: Any, separator: str = "|") -> list[str]:
    """Split a text, or take a list as it is; empty parts go."""
    parts: Iterable[Any] = value if isinstance(value, list | tuple) else str(value).split(separator)
    return [str(part).strip() for part in parts if str(part).strip()]


def line(kind: Kind, body: str, numbers: Sequence[float] = (), region: str = "") -> str:
    """Write a prompt as a config has it, with its weight, its stop and the region that it holds for."""
    plain = prompt.format(Prompt(kind, body))
    weight, stop = (*numbers, *(1.0, -math.inf)[len(numbers) :])
    tail = prompt.format(Prompt(kind, body, weight, stop))[len(plain) :]
    return f"{plain} @ {region}{tail}" if region else plain + tail


def peeled(text: str) -> tuple[str, list[float]]:
    """Split weight and stop off a prompt of the peers, whose numbers Python's `float` reads."""
    numbers: list[float] = []
    while len(numbers) < 2 and ":" in text:
        body, _, last = text.rpartition(":")
        try:
            value = float(last)
        except ValueError:
            break
        text = body
        numbers.insert(0, value)
    return text.strip(), numbers
