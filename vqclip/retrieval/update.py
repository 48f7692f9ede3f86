"""Bring the index of a folder up to date: embed what is new or has changed, and nothing else."""

import hashlib
import json
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path

import numpy as np

from vqclip.base.errors import InUse, WeightsError
from vqclip.base.lock import held
from vqclip.base.paths import cache
from vqclip.guidance.interfaces import PerceptorEntry
from vqclip.retrieval.batches import batches
from vqclip.retrieval.index import Index, Live
from vqclip.retrieval.records import Progress, Skipped, Waiting
from vqclip.retrieval.scan import Stamp, scan
from vqclip.weights.clip_folder import clip_folder, image_tower, largest_file
from vqclip.weights.requirement import Requirement

FLUSH = 256  # images that a kill can lose
FORM = 1  # of the index; raise it where the same file gets another embedding

Updates = Generator[Skipped | Progress | Waiting, None, list[Live]]
EmbedFiles = Callable[[Sequence[Path]], tuple[list[Path], np.ndarray, list[Skipped]]]


def index_folder(folder: Path, entry: PerceptorEntry) -> tuple[Path, dict[str, str]]:
    """Give where the index of a folder and a perceptor lies, and what it is for.

    Weights count by their files' size and time: other weights of the same name have an index of their own.
    """
    about = {
        "folder": os.path.realpath(folder),
        "perceptor": repr(entry),
        "weights": " ".join(_mark(need) for need in entry.requirements()),
        "form": str(FORM),
    }
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    return cache() / "search" / digest[:24], about


def _mark(need: Requirement) -> str:
    try:
        status = _weights(need).stat()
    except WeightsError:
        return "-"
    return f"{status.st_size}-{status.st_mtime_ns}"


def _weights(need: Requirement) -> Path:
    """Find the file of weights; only where their name is open_clip's own, that is imported."""
    folder = clip_folder(need.name) if need.kind == "clip" else None
    file = image_tower(need.name) or (largest_file(folder) if folder else None)
    if file is None:
        from vqclip.requirements.status import find  # noqa: PLC0415

        return find(need)
    return file


def updated(folder: Path, where: Path, about: Mapping[str, str], embed: EmbedFiles) -> Updates:
    """Update the index at `where`; yields what happens, and returns its live rows.

    `embed` gives the files of a batch that were read, their embeddings (n d), and those that weren't. One process at
    a time updates an index, and others wait for it. What is written stays when this is closed early.
    """
    index = Index(where)
    index.make()
    try:
        with held(where):
            return (yield from _update(index, about, folder, embed))
    except InUse as error:
        yield Waiting(str(error))
    with held(where, patience=-1):
        return (yield from _update(index, about, folder, embed))


def _update(index: Index, about: Mapping[str, str], folder: Path, embed: EmbedFiles) -> Updates:
    index.load()
    index.describe(about)
    files, skipped = scan(folder)
    yield from skipped
    live = index.live(files)
    known = {one.segment.names[row] for one in live for row in one.rows}
    fresh = [name for name in files if name not in known]
    pending: list[tuple[str, Stamp]] = []
    parts: list[np.ndarray] = []
    done = 0
    paths = {folder / name: name for name in fresh}
    for few in batches(paths):
        read, vectors, broken = embed(few)
        yield from (one for one in broken if os.path.lexists(one.path))  # the others vanished meanwhile
        pending += [(paths[path], files[paths[path]]) for path in read]
        parts += [vectors] if read else []
        if len(pending) >= FLUSH:
            index.add(pending, np.concatenate(parts))
            pending, parts = [], []
        done += len(read) + len(broken)
        yield Progress(done, len(fresh))
    if pending:
        index.add(pending, np.concatenate(parts))
    return index.compact(index.live(files) if fresh else live)
