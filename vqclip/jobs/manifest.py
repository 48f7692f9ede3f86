"""Write a batch's results: its manifest, its images under their names, and its contact sheet."""

import filecmp
import itertools
import json
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from vqclip.base.errors import SaveError, cause, visible
from vqclip.base.files import atomic, copy, write_text
from vqclip.jobs.batch import Task
from vqclip.jobs.batch_folder import MANIFEST, read_manifest
from vqclip.media.contact_sheet import contact_sheet, thumbnails
from vqclip.runs import snapshot
from vqclip.runs.folder_layout import IMAGE, VIDEO
from vqclip.runs.run import writing

SHEET = "contact.png"


class Manifest:
    """Record the state of a batch's tasks in its folder; raises RunError or SaveError if it can't."""

    def __init__(self, folder: Path, tasks: Sequence[Task], file: Path):
        self.folder, self.tasks = folder, tasks
        self.entries = {task.index: _entry(task, file) for task in tasks}
        self.earlier = _earlier(folder, {entry.get("digest") for entry in self.entries.values()})
        self.begun = False

    def begin(self) -> None:
        """Write the manifest once, so that the folder is this batch's from its first job on."""
        if not self.begun:
            self.begun = True
            self.write()

    def finish(self, task: Task, record: dict[str, Any]) -> dict[str, Any]:
        """Record that a task is done, and copy its image, and its film, to its name in the folder.

        Its snapshot, which takes more room than the image, is deleted: a batch has many.
        """
        if task.job is None:
            raise ValueError(f"{task.entry.position} has no job that could be done")
        image = copy_numbered(task.job.folder / IMAGE, self.folder / task.name)
        with writing(self.folder, "make it writable, and give the command again"):
            snapshot.forget(task.job.folder)
        made = {"image": str(image)}
        if task.job.config.is_film:
            made["film"] = str(copy_numbered(task.job.folder / VIDEO, image.with_suffix(".mp4")))
        self.entries[task.index] |= {"status": "done", **made, **record}
        return self.entries[task.index]

    def fail(self, task: Task, why: str) -> dict[str, Any]:
        self.entries[task.index] |= {"status": "failed", "error": why}
        return self.entries[task.index]

    def count(self, status: str) -> int:
        """Count the tasks that are "done", "failed" or still "open"."""
        return sum(entry["status"] == status for entry in self.entries.values())

    def write(self) -> None:
        """Write the manifest, and a contact sheet of the finished images."""
        with writing(self.folder, "make it writable, and give the command again"):
            entries = [*self.entries.values(), *self.earlier]
            lines = (visible(json.dumps(entry, ensure_ascii=False)) for entry in entries)
            write_text(self.folder / MANIFEST, "".join(f"{line}\n" for line in lines))
            images = [entry["image"] for entry in self.entries.values() if entry["status"] == "done"]
            if small := thumbnails(map(Path, images)):
                with atomic(self.folder / SHEET) as file:
                    contact_sheet(small).save(file, format="PNG", optimize=True)


def copy_numbered(image: Path, path: Path) -> Path:
    """Copy an image to a path, or to a numbered one beside it if another image has that name."""
    for number in itertools.count(1):
        candidate = path if number == 1 else path.with_stem(f"{path.stem}-{number}")
        try:
            if not candidate.exists():
                copy(image, candidate)
            elif not filecmp.cmp(image, candidate, shallow=False):
                continue
        except OSError as error:
            raise SaveError(
                f"{candidate} can't be written: {cause(error)}; the image is in {image}"
            ) from None
        return candidate
    raise AssertionError("numbers don't end")


def _earlier(folder: Path, digests: Collection[Any]) -> list[dict[str, Any]]:
    """Read the lines of images that were made in the folder under other settings, and are still there."""
    return [
        line
        for line in read_manifest(folder)
        if line.get("status") == "done" and line.get("digest") not in digests and "image" in line
    ]


def _entry(task: Task, file: Path) -> dict[str, Any]:
    """Make the manifest's line for a task of a batch's file that isn't begun."""
    line: dict[str, Any] = {"index": task.index, "place": task.entry.position, "prompt": task.entry.title}
    if task.job:
        config = task.job.config
        line |= {"seed": config.seed, "digest": config.digest, "run": str(task.job.folder)}
    return line | {"file": os.path.abspath(file), "status": "open"}
