"""Find run folders below the folders that a user names."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from vqclip.base.errors import UsageError
from vqclip.runs.folder_layout import is_run


def find_runs(places: Iterable[Path]) -> list[Path]:
    """List the run folders in `places`, each once, in the order of their names.

    A place is a run folder or a folder with run folders somewhere below it. Links are not followed below it. Raises
    UsageError where a place holds no run.
    """
    found: dict[Path, Path] = {}
    for place in places:
        here = list(_below(place))
        if not here:
            problem = "has no run folder in it" if place.is_dir() else "is no folder"
            raise UsageError(f"{place} {problem}; name a run folder or a folder of runs, as in runs/")
        for folder in here:
            found.setdefault(folder.resolve(), folder)
    return sorted(found.values(), key=lambda folder: folder.name)


def run_id(folder: Path) -> str:
    """Name a run folder by twelve hexadecimal digits that follow from its path."""
    return hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:12]


def _below(place: Path) -> Iterator[Path]:
    for name, folders, _ in os.walk(place):
        if is_run(Path(name)):
            yield Path(name)
            folders.clear()
        folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
