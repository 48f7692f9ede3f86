"""Files of many jobs: a prompt a line, CSV, JSONL, or YAML with defaults, jobs and a matrix.

    prompts.txt    a red apple -- --seed 7 --size 128x128      # flags are those of `vqclip generate`
    jobs.csv       prompt,seed,cutouts.count                   # columns are keys of a config
    jobs.jsonl     {"prompt": "a red apple", "seed": 7}
    jobs.yaml      defaults: {preset: draft}
                   jobs: [a red apple, {prompt: an owl, steps: 60}]
                   matrix: {prompt: "{subject} in the style of {style}", subject: [a fox], style: [cubism, fauvism]}

Wherever keys stand, `prompt` is one wish or several by "|", and `preset` names a preset.
"""

import csv
import io
import itertools
import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from vqclip import config as configs
from vqclip import dotted
from vqclip import prompt as prompts
from vqclip.errors import ConfigError, UsageError, reason, suggest

FLAGS = {
    "--size": "size", "--steps": "steps", "--seed": "seed", "--init": "init", "--preset": "preset",
    "--set": "set", "--image-prompt": "image",
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One job as a file says it: where it stands there, what it gives, or why it can't be read."""

    place: str  # "line 3"
    given: Mapping[str, Any] = field(default_factory=dict)
    settings: tuple[str, ...] = ()  # KEY=VALUE
    preset: str | None = None
    fault: str | None = None

    @property
    def title(self) -> str:
        """The wish, for people."""
        return " | ".join(map(str, self.given.get("prompts", [])))


def read(path: Path) -> list[Entry]:
    """The jobs of a file in their order; what is wrong with one of them stands in its `fault`.

    Raises ConfigError if the file as a whole can't be read, or holds no job.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {reason(error)}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is no text in UTF-8") from None
    reader = _READERS.get(path.suffix.lower(), _read_text)
    entries = list(_read_yaml(path) if reader is _read_yaml else reader(text))
    if not entries:
        raise ConfigError(f"{path} holds no job; write a prompt a line")
    return entries


def _read_text(text: str) -> Iterator[Entry]:
    for number, line in enumerate(text.splitlines(), 1):
        wish, _, flags = line.partition(" -- ")
        if wish.strip() and not wish.lstrip().startswith("#"):
            yield _guarded(f"line {number}", wish.strip(), partial(_of_flags, wish.strip(), flags))


def _of_flags(wish: str, text: str) -> dict[str, Any]:
    """The keys that the flags after ` -- ` give."""
    keys: dict[str, Any] = {"prompts": [wish], "set": []}
    try:
        words = iter(shlex.split(text))
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


def _read_csv(text: str) -> Iterator[Entry]:
    rows = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    for row in rows:
        given = {key: value for key, value in row.items() if isinstance(value, str) and value.strip()}
        if given:
            place, extra = f"line {rows.line_num}", row.get(None)
            yield _guarded(place, row.get("prompt") or "", partial(_of_cells, given, extra))


def _of_cells(cells: dict[str, str], extra: object) -> dict[str, Any]:
    if extra:
        raise ConfigError(
            f"there are more cells than columns; put a text with commas in double quotes: {extra}"
        )
    named = {key: cells.pop(key) for key in ("prompt", "prompts", "preset") if key in cells}
    return named | {"set": [f"{key}={value}" for key, value in cells.items()]}


def _read_jsonl(text: str) -> Iterator[Entry]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            yield _guarded(f"line {number}", line.strip(), partial(_of_json, line))


def _of_json(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise ConfigError(f"this is not JSON ({error})") from None


def _read_yaml(path: Path) -> Iterator[Entry]:
    content = configs.read_yaml(path)
    if unknown := set(content) - {"defaults", "jobs", "matrix"}:
        key = min(map(str, unknown))
        raise ConfigError(f"{path}: {key!r} is none of defaults, jobs, matrix{suggest(key, _PARTS)}")
    defaults, jobs = content.get("defaults") or {}, content.get("jobs") or []
    if not isinstance(defaults, dict) or not isinstance(jobs, list):
        raise ConfigError(f"{path}: `defaults` takes keys with values, and `jobs` a list")
    for number, job in enumerate(jobs, 1):
        yield _guarded(f"job {number}", str(job), partial(_over, defaults, job))
    for number, combination in enumerate(_combine(path, content.get("matrix") or {}), 1):
        yield _guarded(f"combination {number}", "", partial(_over, defaults, combination))


_PARTS = ("defaults", "jobs", "matrix")


def _combine(path: Path, matrix: Any) -> Iterator[dict[str, Any]]:
    """Every combination of the matrix's lists; `{name}` in a text stands for the value of that list."""
    if not isinstance(matrix, dict):
        raise ConfigError(f"{path}: `matrix` takes names with lists, as in style: [cubism, fauvism]")
    axes = {name: values for name, values in matrix.items() if isinstance(values, list)}
    texts = {name: value for name, value in matrix.items() if name not in axes}
    if unknown := _fields(texts) - axes.keys():
        raise ConfigError(f"{path}: matrix: there is no list {min(unknown)!r}{suggest(min(unknown), axes)}")
    keys = {*configs.keys(), *configs.old_keys(), "prompt", "preset"}
    if unused := axes.keys() - _fields(matrix) - keys:
        name = min(unused)
        raise ConfigError(f"{path}: matrix: {name!r} is no key of a config, and no text says {{{name}}}")
    for values in itertools.product(*axes.values()) if matrix else ():
        chosen = dict(zip(axes, values, strict=True))
        filled = {name: _fill(value, chosen) for name, value in (texts | chosen).items()}
        yield {name: value for name, value in filled.items() if name in keys}


def _fill(value: Any, chosen: Mapping[str, Any]) -> Any:
    if not isinstance(value, str):
        return value
    return re.sub(r"{(\w+)}", lambda match: str(chosen.get(match[1], match[0])), value)


def _fields(texts: Any) -> set[str]:
    """The names in braces anywhere in some data."""
    return set(re.findall(r"{(\w+)}", json.dumps(texts, default=str)))


def _guarded(place: str, title: str, read_keys: Callable[[], Any]) -> Entry:
    """An Entry of the keys that are read, or of the reason why they can't be."""
    try:
        return _entry(place, _mapping(read_keys()))
    except UsageError as error:
        return Entry(place, {"prompts": [title]}, fault=str(error))


def _entry(place: str, keys: dict[str, Any]) -> Entry:
    settings, preset = keys.pop("set", []), keys.pop("preset", None)
    if "prompt" in keys:
        keys["prompts"] = keys.pop("prompt")
    if isinstance(keys.get("prompts"), str):
        keys["prompts"] = [keys["prompts"]]
    if not keys.get("prompts"):
        raise ConfigError('there is no prompt; give one, as in {"prompt": "a red apple"}')
    nested: dict[str, Any] = {}
    for key, value in keys.items():
        if value is not None:
            dotted.put(nested, key, value)
    return Entry(place, nested, tuple(settings), preset)


def _over(defaults: dict[str, Any], job: Any) -> dict[str, Any]:
    return {**defaults, **_mapping(job)}


def _mapping(job: Any) -> dict[str, Any]:
    """A job's keys; a text alone is its prompt."""
    if isinstance(job, str):
        return {"prompt": job}
    if not isinstance(job, dict) or not all(isinstance(key, str) for key in job):
        raise ConfigError(f"{job!r} is no job; write a prompt, or keys with values")
    return dict(job)


_READERS: dict[str, Callable[..., Iterator[Entry]]] = {
    ".csv": _read_csv, ".jsonl": _read_jsonl, ".ndjson": _read_jsonl, ".yaml": _read_yaml, ".yml": _read_yaml,
}  # fmt: skip
