r"""Parse prompts. A Prompt is a text, an image or a noise seed, with a weight and a stop. Its one-line grammar:

    line    =  scene { "^" scene }
    scene   =  prompt { "|" prompt }
    prompt  =  body [ " @ " region ] [ ":" weight [ ":" stop ] ]
    body    =  text  |  "quoted text"  |  label:text  |  [label:text]  |  [image.png]  |  [vector.npz]  |  [noise:7]
    region  =  left | right | top | bottom | centre | edges | x,y,w,h | [mask.png], or "not " and one of them
    weight  =  number  |  "{" schedule over a film's frames, or a still's steps "}"

Numbers are read from the right, two at the most, so `a clock: study in blue` is all text. A whole number that
follows a digit is text as well (`meet at 10:30`, `16:9`). Within a text `\:` `\|` `\^` `\\` stand for the signs
themselves; within quotes only `\"` and `\\` are special, within brackets only `\]` and `\\`.
"""

import re
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum

from vqclip.base.errors import ConfigError, PromptError
from vqclip.config import region as regions
from vqclip.config.schedule import LARGEST, Schedule

_END = rf"(?=[:|^]|$|@\s+{regions.PATTERN}\s*(?:[:|^]|$))"  # what may follow a quoted or bracketed body
_QUOTED = re.compile(rf'\s*"((?:[^"\\]|\\.)*)"\s*{_END}')
_BRACKETED = re.compile(rf"\s*\[((?:[^\]\\]|\\.)*)\]\s*{_END}")
_REGION = re.compile(rf"(?:^|\s+)@\s+({regions.PATTERN})\s*$")
_PLAIN = re.compile(r"(?:[^|^\\]|\\.|\\\Z)*", re.DOTALL)
_COLON = re.compile(r"(?<!\\):|(?<=(?<!\\)\\\\):")  # after no backslash, or after one that stands for itself
_COURSE = re.compile(r":\s*\{([^{}]*)\}\s*(?::([^:]*))?$")
_FIELD = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+))\s*")
_LOOKS_NUMERIC = re.compile(r"\s*[-+]?(?:nan|inf|infinity|[\d_.]+e[-+]?\d+|\d+(?:_\d+)+)\s*", re.IGNORECASE)
_NOISE = re.compile(r"noise:\s*(\d{1,99})")

_DEFAULTS = (1.0, float("-inf"))  # weight and stop


class Kind(Enum):
    TEXT = "text"
    IMAGE = "image"
    NOISE = "noise"
    LABEL = "label"
    VECTOR = "vector"


VECTORS = (".npz", ".json")  # suffixes of files of embeddings
READ = (Kind.TEXT, Kind.LABEL)  # what a perceptor reads as text
_LABEL = re.compile(r"\s*label:\s*(?=\S)")


@dataclass(frozen=True)
class Prompt:
    """A prompt. `body` is the text, the path of an image or of embeddings, or the seed of a noise.

    A negative weight moves the image away.
    Below the distance `stop` a prompt has no gradient. With a negative weight the distance counts as negative.
    `course` is the weight's schedule, where it has one, over a film's frames or a still's steps. `region` is the part
    of the image that it holds for, as it was written.
    """

    kind: Kind
    body: str
    weight: float = _DEFAULTS[0]
    stop: float = _DEFAULTS[1]
    course: str | None = None
    region: str | None = None

    @property
    def content(self) -> tuple[Kind, str]:
        """The prompt's kind and body, without its numbers."""
        return self.kind, self.body

    def at(self, position: int, whole: int) -> "Prompt":
        """Return the prompt for one frame of a film, or one step of a still, with a plain weight."""
        if self.course is None:
            return self
        return replace(self, weight=Schedule.parse(self.course).at(position, whole), course=None)

    @property
    def label(self) -> str:
        """The prompt without its numbers, to print."""
        patterns = {Kind.TEXT: "{}", Kind.LABEL: "label:{}", Kind.NOISE: "[noise:{}]"}
        return patterns.get(self.kind, "[{}]").format(self.body) + self._place

    @property
    def _place(self) -> str:
        return "" if self.region is None else f" @ {self.region}"


def parse(line: str) -> list[Prompt]:
    """Parse the prompts of a still's line, in order. Raises PromptError, which quotes what can't be parsed."""
    first, *others = scenes(line)
    if others:
        raise PromptError(
            rf"{line!r}: '^' separates the scenes of a story, and this is a still; write \^ for the sign, "
            "or type: vqclip story"
        )
    return first


def scenes(line: str) -> list[list[Prompt]]:
    """Parse the prompts of each scene of a line. A line without `^` is one scene. Raises PromptError."""
    parsed: list[list[Prompt]] = [[]]
    rest = line
    while True:
        prompt, rest = _parse_one(rest)
        parsed[-1].append(prompt)
        if not rest:
            return parsed
        if rest[0] == "^":
            parsed.append([])
        rest = rest[1:]


def format(prompt: Prompt) -> str:
    """Return the line that `parse` reads back as this prompt."""
    match prompt.kind:
        case Kind.IMAGE | Kind.VECTOR:
            body = f"[{_escape(prompt.body, ']')}]"
        case Kind.NOISE:
            body = f"[noise:{prompt.body}]"
        case Kind.LABEL:
            body = f"[label:{_escape(prompt.body, ']')}]"
        case Kind.TEXT:
            plain = prompt.body == prompt.body.strip() and not re.search(
                r'[:|^\\"\[\]]|\d$| @ |^label:', prompt.body
            )
            escaped = _escape(prompt.body, '"')
            body = prompt.body if plain else f'"{escaped}"'
    stop = "" if prompt.stop == float("-inf") else f":{_number(prompt.stop)}"
    weight = _number(prompt.weight) if prompt.course is None else f"{{{prompt.course}}}"
    body += prompt._place
    return body if weight == "1" and not stop else f"{body}:{weight}{stop}"


def image(given: str) -> Prompt:
    """Parse an image prompt of the form FILE[:weight[:stop]], as `--image-prompt` takes it."""
    path, numbers = _peel(given, spoken=False)
    return _build(Kind.IMAGE, path.strip(), numbers, given)


def _parse_one(line: str) -> tuple[Prompt, str]:
    """Parse the first prompt of a line. Return it with the rest of the line, from its separator on."""
    if bracketed := _BRACKETED.match(line):
        tail = _plain(line[bracketed.end() :])
        given = line[: bracketed.end() + len(tail)]
        numbers, region = _numbers_only(tail, line)
        noise = _NOISE.fullmatch(bracketed[1].strip())
        path = _unescape(bracketed[1], "]").strip()
        kind = Kind.VECTOR if path.lower().endswith(VECTORS) else Kind.IMAGE
        kind, body = (Kind.NOISE, noise[1]) if noise else (kind, path)
        if label := _LABEL.match(path):
            kind, body = Kind.LABEL, path[label.end() :]
    elif quoted := _QUOTED.match(line):
        tail = _plain(line[quoted.end() :])
        given = line[: quoted.end() + len(tail)]
        numbers, region = _numbers_only(tail, line)
        kind, body = Kind.TEXT, _unescape(quoted[1], '"')
    else:
        given = _plain(line)
        text, numbers = _peel(given)
        text, region = _placed(text)
        label = _LABEL.match(text)
        kind, text = (Kind.LABEL, text[label.end() :]) if label else (Kind.TEXT, text)
        body = _unescape(text.strip(), ":|^")
    return replace(_build(kind, body, numbers, given), region=region), line[len(given) :]


def _placed(text: str) -> tuple[str, str | None]:
    """Split a region off the right end, if there is one. Raises PromptError."""
    match = _REGION.search(text)
    if not match:
        return text, None
    regions.parse(match[1])  # refuses what lies outside the image
    return text[: match.start()], match[1]


def _plain(line: str) -> str:
    match = _PLAIN.match(line)
    return match[0] if match else ""


def _build(kind: Kind, body: str, values: list[float | str], given: str) -> Prompt:
    """Make a prompt from its body, its weight (a number or a schedule) and its stop."""
    if not body.strip():
        raise PromptError(f'the prompt {given.strip()!r} is empty; write some words, as in "a red apple"')
    course = values[0] if values and isinstance(values[0], str) else None
    numbers = [1.0 if isinstance(value, str) else value for value in values]
    if not all(abs(number) <= LARGEST for number in numbers):
        raise PromptError(
            f"the prompt {given.strip()[:40]!r}… has a number beyond {LARGEST:g}; write one as in :1.5"
        )
    weight, stop = (*numbers, *_DEFAULTS[len(numbers) :])
    return Prompt(kind, body, weight, stop, course)


def _numbers_only(tail: str, line: str) -> tuple[list[float | str], str | None]:
    """Parse what follows a quoted or bracketed body, where only a region and numbers are allowed."""
    text, numbers = _peel(tail)
    text, region = _placed(text)
    if text.strip():
        raise PromptError(
            f"{line!r}: only :weight and :stop may follow the closing sign, not {tail.strip()!r}"
        )
    return numbers, region


def _peel(text: str, spoken: bool = True) -> tuple[str, list[float | str]]:
    """Split at most two numbers off the right end: 'a: b:2:.5' -> ('a: b', [2.0, 0.5]); the first may be a course.

    Text that is `spoken` may contain a time of day. A file's name doesn't.
    """
    if course := _COURSE.search(text):
        return text[: course.start()], [_course(course[1], text), *map(float, _stop(course[2], text))]
    parts = _COLON.split(text)
    fields: list[str] = []
    while len(parts) > 1 and len(fields) < 2:
        if _LOOKS_NUMERIC.fullmatch(parts[-1]):
            raise PromptError(
                f"{text.strip()!r}: {parts[-1].strip()!r} is no weight or stop; write a plain number as in :1.5, "
                "or the whole text in double quotes if it belongs to it"
            )
        field = _FIELD.fullmatch(parts[-1])
        if not field:
            break
        fields.insert(0, field[1])  # without spaces, of which `float` knows fewer than `\s`
        parts.pop()
    is_place = _REGION.search(parts[-1]) is not None  # a box ends in a digit, too
    if spoken and fields and parts[-1][-1:].isdigit() and fields[0].isdigit() and not is_place:
        parts.append(fields.pop(0))  # a time of day or a ratio
    return ":".join(parts), [float(field) for field in fields]


def _course(schedule: str, given: str) -> str:
    """Return a weight's schedule as it was written, if it is one."""
    try:
        Schedule.parse(schedule)
    except ConfigError:
        raise PromptError(
            f"{given.strip()!r}: {{{schedule}}} is no weight over time; write {{0 -> 1}} or {{0:0, 50%:1}}"
        ) from None
    return schedule.strip()


def _stop(text: str | None, given: str) -> list[str]:
    """Return the number after a schedule, if there is one."""
    field = None if text is None else _FIELD.fullmatch(text)
    if text is not None and not field:
        raise PromptError(f"{given.strip()!r}: {text.strip()!r} is no stop; write a plain number as in :0.5")
    return [field[1]] if field else []


def _escape(text: str, signs: str) -> str:
    r"""Put a backslash before each of the characters, and before each backslash."""
    return "".join("\\" + sign if sign in signs + "\\" else sign for sign in text)


def _unescape(text: str, signs: str) -> str:
    r"""Undo `_escape`. A backslash before any other character stays."""
    return re.sub(rf"\\([{re.escape(signs)}\\])", r"\1", text)


def _number(value: float) -> str:
    """Return a number's shortest spelling without an exponent, which the grammar doesn't have."""
    return f"{Decimal(repr(value)):f}".removesuffix(".0")
