"""List the images under a folder, each with what tells whether it has changed."""

import os
import stat
from pathlib import Path
from typing import NamedTuple

from vqclip.base.errors import UsageError, cause
from vqclip.base.files import IMAGE_SUFFIXES
from vqclip.retrieval.records import Skipped
from vqclip.runs.folder_layout import FRAMES, STILLS, is_run


class Stamp(NamedTuple):
    """Hold what changes when a file does."""

    size: int
    mtime_ns: int
    inode: int


def scan(folder: Path) -> tuple[dict[str, Stamp], list[Skipped]]:
    """Give the images under a folder by their names in it, and what was passed by. Raises UsageError for no folder.

    Links are followed, and each folder is read once. Names that begin with a dot are left out, and so are the frames of
    the runs that lie there.
    """
    if not os.path.isdir(folder):
        raise UsageError(f"{folder} is no folder; name the one that holds the images")
    found: dict[str, Stamp] = {}
    skipped: list[Skipped] = []
    seen: set[tuple[int, int]] = set()
    pending = [""]
    while pending:
        inside = pending.pop()
        where = os.path.join(folder, inside)
        try:
            here = os.stat(where)
            if (here.st_dev, here.st_ino) in seen:
                skipped.append(Skipped(Path(where), f"{where} leads to a folder that is read already"))
                continue
            seen.add((here.st_dev, here.st_ino))
            names = sorted(set(os.listdir(where)) - _left_out(Path(where)))
        except OSError as error:
            skipped.append(Skipped(Path(where), f"{where} can't be read: {cause(error)}"))
            continue
        for name in names:
            _sort_in(os.path.join(inside, name), folder, found, skipped, pending)
    return found, skipped


def _left_out(folder: Path) -> set[str]:
    """Name what isn't read of a folder: the frames of a run, whose image or video stands for them."""
    return {FRAMES, STILLS} if is_run(folder) else set()


def _sort_in(
    name: str, folder: Path, found: dict[str, Stamp], skipped: list[Skipped], pending: list[str]
) -> None:
    if os.path.basename(name).startswith("."):
        return
    path = os.path.join(folder, name)
    is_image = os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES
    try:
        status = os.stat(path)
    except FileNotFoundError:
        if is_image and os.path.islink(path):
            skipped.append(Skipped(Path(path), f"{path} is a link that leads to no file"))
        return  # a file that vanished meanwhile is no part of the folder
    except OSError as error:
        skipped.append(Skipped(Path(path), f"{path} can't be read: {cause(error)}"))
        return
    if stat.S_ISDIR(status.st_mode):
        pending.append(name)
    elif is_image and stat.S_ISREG(status.st_mode):
        found[name] = Stamp(status.st_size, status.st_mtime_ns, status.st_ino)
