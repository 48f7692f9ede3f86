"""A Batch: the jobs of a file, where each is painted, and how its picture is called."""

import dataclasses
import os
import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vqclip.base import seeds
from vqclip.base.errors import UsageError, suggest
from vqclip.base.files import LONGEST_NAME
from vqclip.config import resolve as configs
from vqclip.config.resolve import Base
from vqclip.config.schema import Config
from vqclip.jobs import batch_file
from vqclip.jobs.batch_file import Entry
from vqclip.runs.job import Job, slug

NAMES = "{index:04d}-{slug}-{seed}.png"
ROOM = 8  # bytes: for a number behind a name that is taken
FIELDS = ("index", "slug", "seed", "size", "steps", "digest")


@dataclass(frozen=True)
class Task:
    """One job of a batch, or the reason why it can't be one."""

    index: int  # 1 is the first
    entry: Entry
    job: Job | None
    name: str  # of the picture's file; "" without a job
    error: str | None


def plan(
    file: Path,
    runs: Path,
    *,
    names: str = NAMES,
    preset: str | None = None,
    base: Path | None = None,
    settings: Sequence[str] = (),
) -> list[Task]:
    """All jobs of a file, under what the command gives for all of them; one that can't be read is a fault of its own.

    A job's folder follows from its Config, so that the same file finds what it began before. Raises UsageError for what
    is wrong with the command or with the whole file.
    """
    check_names(names)
    # What is wrong here is wrong with the command. What holds for all jobs is read and laid together once.
    configs.resolve({"prompts": ["-"]}, preset, base, settings)
    shared = cache(lambda name: configs.base(name or preset, base, settings))
    tasks, seen, folder = [], Counter[str](), folder_of(file, runs)
    for index, entry in enumerate(batch_file.read(file), 1):
        try:
            if entry.error:
                raise UsageError(entry.error)
            config = _config(entry, shared(entry.preset), seen)
            name = image_name(names, index, config)
        except UsageError as error:
            tasks.append(Task(index, entry, None, "", str(error)))
            continue
        job = Job(config, folder / "jobs" / _unique(f"{slug(config)}-{config.digest}", seen))
        tasks.append(Task(index, entry, job, name, None))
    return tasks


def folder_of(file: Path, runs: Path) -> Path:
    """Where the batch of a file is painted."""
    return runs / (re.sub(r"[^\w.-]+", "-", file.stem).strip(".-") or "batch")


def check_names(template: str) -> None:
    """Refuse a template of names that isn't one; raises UsageError."""
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
        for name in fields:
            if name not in FIELDS:
                raise UsageError(f"--names: {{{name}}} is none of {', '.join(FIELDS)}{suggest(name, FIELDS)}")
        example = template.format(index=1, slug="slug", seed=1, size="8x8", steps=1, digest="0")
    except (ValueError, IndexError) as error:
        raise UsageError(f"--names {template!r}: {error}; write for instance {NAMES}") from None
    if Path(example).name != example or not example.lower().endswith(".png"):
        raise UsageError(f"--names {template!r} names no PNG in one folder; write for instance {NAMES}")


def image_name(template: str, index: int, config: Config) -> str:
    """The name of a job's picture; raises UsageError for one that is too long for a file."""
    name = template.format(
        index=index,
        slug=slug(config),
        seed=config.seed,
        size=config.size,
        steps=config.steps,
        digest=config.digest,
    )
    if len(os.fsencode(name)) > LONGEST_NAME - ROOM:
        raise UsageError(
            f"--names: {name[:40]}… is longer than {LONGEST_NAME - ROOM} bytes; write a shorter one"
        )
    return name


def _config(entry: Entry, shared: Base, seen: Counter[str]) -> Config:
    """An entry's Config. Where no seed is given, it follows from the rest, so that lines may move and be added."""
    unseeded: list[int] = []

    def draw() -> int:
        unseeded.append(0)
        return 0

    config = shared.resolve(entry.given, entry.settings, draw)
    if not unseeded:
        return config
    nth = seen[config.digest]
    seen[config.digest] += 1
    return dataclasses.replace(config, seed=seeds.derive(nth, f"batch {config.digest}") % 2**32)


def _unique(name: str, seen: Counter[str]) -> str:
    """The name, numbered from its second use on."""
    seen[name] += 1
    return name if seen[name] == 1 else f"{name}-{seen[name]}"
