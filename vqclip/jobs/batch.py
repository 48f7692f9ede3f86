"""Plan a batch: the jobs of a file, their run folders, and the names of their images."""

import dataclasses
import os
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
from vqclip.jobs.batch_folder import folder_for
from vqclip.runs.job import Job, slug

NAMES = "{index:04d}-{slug}-{seed}.png"
ROOM = 8  # bytes kept free for the number that is appended to a name in use
FIELDS = ("index", "slug", "seed", "size", "steps", "digest")


@dataclass(frozen=True)
class Task:
    """Hold one job of a batch, or the error for which it can't run."""

    index: int  # 1 is the first
    entry: Entry
    job: Job | None
    name: str  # of the image's file; "" without a job
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
    """Read all jobs of a file, under the command's settings; an unreadable job becomes a Task with an error.

    A job's folder follows from its Config, so that a second call finds what the first began. Raises UsageError if the
    command or the whole file is wrong.
    """
    check_names(names)
    # Check the command alone first, so that its errors aren't blamed on a job. The shared layers are resolved once.
    configs.resolve({"prompts": ["-"]}, preset, base, settings)
    shared = cache(lambda name: configs.base(name or preset, base, settings))
    tasks, seen = [], Counter[str]()
    for index, entry in enumerate(batch_file.read(file), 1):
        try:
            if entry.error:
                raise UsageError(entry.error)
            config = _config(entry, shared(entry.preset), seen)
            name = image_name(names, index, config)
        except UsageError as error:
            tasks.append(Task(index, entry, None, "", str(error)))
            continue
        job = Job(config, Path(_unique(f"{slug(config)}-{config.digest}", seen)))
        tasks.append(Task(index, entry, job, name, None))
    jobs = folder_of(file, runs, tasks) / "jobs"
    return [dataclasses.replace(task, job=task.job and _under(jobs, task.job)) for task in tasks]


def folder_of(file: Path, runs: Path, tasks: Sequence[Task]) -> Path:
    """Give the folder for the batch of a file, whose tasks these are."""
    return folder_for(file, runs, {task.job.config.digest for task in tasks if task.job})


def _under(folder: Path, job: Job) -> Job:
    return dataclasses.replace(job, folder=folder / job.folder)


def check_names(template: str) -> None:
    """Check a template of image names; raises UsageError."""
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
    """Make the name of a job's image; raises UsageError if it is too long for a file."""
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
    """Resolve an entry's Config. A seed that isn't given is derived from the other keys, so that lines may move."""
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
    """Number a name from its second use on."""
    seen[name] += 1
    return name if seen[name] == 1 else f"{name}-{seen[name]}"
