"""Read files of many jobs: a prompt a line, a table, JSON, JSONL, or YAML with defaults, jobs and a matrix.

    prompts.txt    a red apple -- --seed 7 --size 128x128      # flags are those of `vqclip generate`
    jobs.csv       prompt,seed,cutouts.count                   # columns are keys of a config; also ; and tabs
    jobs.jsonl     {"prompt": "a red apple", "seed": 7}        # a job a line; jobs.json takes a list of them
    jobs.yaml      defaults: {preset: draft}
                   jobs: [a red apple, {prompt: an owl, steps: 60}]
                   matrix: {prompt: "{subject} in the style of {style}", subject: [a fox], style: [cubism, fauvism]}

Among keys, `prompt` is one prompt or several with "|" between them, and `preset` names a preset.
A line ends only at a newline.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from vqclip.base.errors import ConfigError, UsageError, cause, in_words, shorten, spelled, suggest
from vqclip.base.files import IMAGE_SUFFIXES, is_image
from vqclip.config import dotted, known_keys, strict_json, table, yaml12
from vqclip.config import prompt as prompts
from vqclip.config.conversion import merge
from vqclip.jobs.batch_matrix import combine

DEEPEST = 20  # levels of nesting; a config has four
FLAGS = {
    "--size": "size", "--steps": "steps", "--seed": "seed", "--init": "init", "--preset": "preset",
    "--set": "set", "--image-prompt": "image",
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """Hold one job of a file: its position there, and the keys that it gives or the error in it."""

    position: str  # "line 3"
    given: Mapping[str, Any] = field(default_factory=dict)
    settings: tuple[str, ...] = ()  # KEY=VALUE
    preset: str | None = None
    error: str | None = None

    @property
    def title(self) -> str:
        """Give the prompt, for messages."""
        return " | ".join(map(str, self.given.get("prompts", [])))


def read(path: Path) -> list[Entry]:
    """Read the jobs of a file in their order; a faulty job gets an `error`.

    Raises ConfigError if the file as a whole can't be read, or holds no job.
    """
    reader = _READERS.get(path.suffix.lower(), _read_text)
    try:
        entries = list(reader(_text_of(path)))
    except OSError as error:
        raise ConfigError(f"{spelled(path)} can't be read: {cause(error)}") from None
    except UsageError as error:
        raise ConfigError(f"{path}: {error}") from None
    if not entries:
        raise ConfigError(f"{path} holds no job; write a prompt a line")
    return entries


def _text_of(path: Path) -> str:
    """Decode a file. Bytes that aren't UTF-8 become errors of the jobs that hold them, unless the file is binary."""
    data = path.read_bytes()
    if is_image(path):
        raise ConfigError("this is an image, and batch takes a file of prompts, as in prompts.txt")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        raise ConfigError(
            f"{path.suffix} is an image's ending, and batch takes a file of prompts; if it is one, name it "
            f"{path.stem}.txt"
        )
    if b"\0" in data:
        raise ConfigError("this is no text in UTF-8; save it as one")
    text = data.decode("utf-8-sig", errors="surrogateescape")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _check_whole(text: str) -> str:
    """Check that a text that is parsed as a whole is UTF-8; raises ConfigError."""
    for number, line in enumerate(text.split("\n"), 1):
        if re.search("[\ud800-\udfff]", line):
            raise ConfigError(f"line {number}: this is no text in UTF-8; save the file as one")
    return text


def _read_text(text: str) -> Iterator[Entry]:
    for number, line in enumerate(text.split("\n"), 1):
        prompt, _, flags = line.partition(" -- ")
        if prompt.strip() and not prompt.lstrip().startswith("#"):
            yield _guarded(f"line {number}", prompt.strip(), partial(_of_flags, prompt.strip(), flags))


def _of_flags(prompt: str, text: str) -> dict[str, Any]:
    """Parse the flags after ` -- ` into keys."""
    keys: dict[str, Any] = {"prompts": [prompt], "set": []}
    try:
        words = iter(shlex.split(text) if text.strip() else [])
    except ValueError as error:
        raise ConfigError(f"{text.strip()!r}: {str(error).lower()}") from None
    for word in words:
        flag, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if flag not in FLAGS:
            hint = suggest(flag, FLAGS) or f"; {', '.join(FLAGS)} can"
            raise ConfigError(f"{flag!r} can't stand after ` -- `{hint}")
        value = value if equals else next(words, None)  # type: ignore[assignment]
        if value is None:
            raise ConfigError(f"{flag} takes a value, as in {flag} …")
        match FLAGS[flag]:
            case "set":
                keys["set"].append(value)
            case "image":
                keys["prompts"].append(prompts.format(prompts.image(value)))
            case key:
                keys[key] = value
    return keys


def _read_table(text: str) -> Iterator[Entry]:
    columns, rows = table.read(
        text, {*known_keys.keys(), "prompt", "prompts", "preset"}, {"prompt", "prompts"}
    )
    for line, cells in rows:
        given = {column: cell for column, cell in zip(columns, cells, strict=False) if cell.strip()}
        extra = [cell for cell in cells[len(columns) :] if cell]
        yield _guarded(f"line {line}", given.get("prompt", ""), partial(_of_cells, given, extra))


def _of_cells(cells: dict[str, str], extra: list[str]) -> dict[str, Any]:
    if extra:
        raise ConfigError(
            f"there are more cells than columns; put a text with commas in double quotes: {shorten(extra)}"
        )
    named = {key: cells.pop(key) for key in ("prompt", "prompts", "preset") if key in cells}
    return named | {"set": [f"{key}={value}" for key, value in cells.items()]}


def _read_json_lines(text: str) -> Iterator[Entry]:
    if (jobs := _whole_list(text)) is not None:
        yield from _of_list({}, jobs)
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _guarded(f"line {number}", line.strip(), partial(strict_json.parse, line))


def _whole_list(text: str) -> list[Any] | None:
    """Parse a text that is one list of jobs; give None if it has a job a line."""
    if not text.lstrip().startswith("["):
        return None
    try:
        jobs = strict_json.parse(text)
    except ConfigError:
        return None
    return jobs if any(isinstance(job, dict | str) for job in jobs) else None


def _read_json(text: str) -> Iterator[Entry]:
    """Read a list of jobs, a dict as in YAML, one job, or a job a line."""
    try:
        content = strict_json.parse(_check_whole(text))
    except ConfigError as error:
        if "Extra data" not in str(error):
            raise
        return _read_json_lines(text)
    is_job = isinstance(content, dict) and content.keys() & {"prompt", "prompts"}
    return _of_parts(
        {"jobs": [content] if is_job else content} if is_job or isinstance(content, list) else content
    )


def _read_yaml(text: str) -> Iterator[Entry]:
    return _of_parts(yaml12.parse(_check_whole(text)))


def _of_parts(content: Any) -> Iterator[Entry]:
    """Make jobs from defaults, a list and a matrix."""
    if not isinstance(content, dict):
        raise ConfigError(f"this holds {in_words(content)}; it takes {', '.join(_PARTS)}")
    _check_depth(content)
    if unknown := {str(key) for key in content} - {*_PARTS}:
        key = min(unknown)
        raise ConfigError(f"{shorten(key)} is none of {', '.join(_PARTS)}{suggest(key, _PARTS)}")
    defaults, jobs = content.get("defaults") or {}, content.get("jobs") or []
    if not isinstance(defaults, dict) or not isinstance(jobs, list):
        raise ConfigError("`defaults` takes keys with values, and `jobs` a list")
    below = _nested(defaults)
    yield from _of_list(below, jobs)
    for number, combination in enumerate(combine(content.get("matrix") or {}), 1):
        yield _guarded(f"combination {number}", "", partial(_over, below, combination))


def _of_list(defaults: dict[str, Any], jobs: list[Any]) -> Iterator[Entry]:
    for number, job in enumerate(jobs, 1):
        title = job if isinstance(job, str) else shorten(job)
        yield _guarded(f"job {number}", title, partial(_over, defaults, job))


_PARTS = ("defaults", "jobs", "matrix")


def _guarded(position: str, title: str, read_job: Callable[[], Any]) -> Entry:
    """Make the Entry of a job, or of the error that reading it raises."""
    try:
        return _entry(position, _nested(_mapping(read_job())))
    except UsageError as error:
        return Entry(position, {"prompts": [title]}, error=str(error))


def _entry(position: str, keys: dict[str, Any]) -> Entry:
    settings, preset = keys.pop("set", None), keys.pop("preset", None)
    if not keys.get("prompts"):
        stray = next((key for key in keys if " " in key), None)
        advice = f'a text with ": " in it goes in double quotes: {stray!r}' if stray else _EXAMPLE
        raise ConfigError(f"there is no prompt; {advice}")
    given = {key: value for key, value in keys.items() if value is not None}
    given["prompts"] = _texts("prompt", given["prompts"])
    return Entry(position, given, tuple(_texts("set", settings)), *_texts("preset", preset)[:1])


_EXAMPLE = 'give one, as in {"prompt": "a red apple"}'


def _texts(key: str, value: Any) -> list[str]:
    """Check that a value is one text or several, and list them; a number counts as text."""
    items = value if isinstance(value, list) else [] if value is None else [value]
    for item in items:
        if isinstance(item, bool) or not isinstance(item, str | int | float):
            raise ConfigError(f"{key}: {shorten(item)} is no text; put a text in double quotes")
    return [str(item) for item in items]


def _over(defaults: dict[str, Any], job: Any) -> dict[str, Any]:
    return merge(defaults, _nested(_mapping(job)))


def _nested(job: Mapping[str, Any]) -> dict[str, Any]:
    """Nest a job's dotted keys as sections."""
    nested: dict[str, Any] = {}
    for key, value in job.items():
        dotted.put(nested, "prompts" if key == "prompt" else key, value)
    return nested


def _mapping(job: Any) -> dict[str, Any]:
    """Give a job's keys; a text or a number alone is its prompt."""
    if isinstance(job, str | int | float) and not isinstance(job, bool):
        return {"prompt": str(job)}
    if not isinstance(job, dict) or not all(isinstance(key, str) for key in job):
        raise ConfigError(
            f"{'null' if job is None else shorten(job)} is no job; write a prompt, or keys with values"
        )
    _check_depth(job)
    return dict(job)


def _check_depth(content: Any) -> None:
    """Check that values aren't nested too deeply, as with YAML aliases that contain themselves; raises ConfigError."""
    seen, layer = set[int](), [content]
    for _ in range(DEEPEST):
        below = [item.values() if isinstance(item, dict) else item for item in layer]
        layer = [item for items in below for item in items if isinstance(item, dict | list)]
        layer = [item for item in layer if id(item) not in seen and not seen.add(id(item))]  # type: ignore[func-returns-value]
    if layer:
        raise ConfigError(f"this is nested more than {DEEPEST} levels deep")


_READERS: dict[str, Callable[[str], Iterator[Entry]]] = {
    ".csv": _read_table, ".tsv": _read_table, ".json": _read_json, ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines, ".yaml": _read_yaml, ".yml": _read_yaml,
}  # fmt: skip
