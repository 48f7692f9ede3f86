"""Bring the index of a folder up to date: embed what is new or has changed, and nothing else."""

import hashlib
import json
import os
from collections.abc import Generator, Mapping
from pathlib import Path

import numpy as np

from vqclip.base.errors import InUse, WeightsError
from vqclip.base.lock import held
from vqclip.base.paths import cache
from vqclip.guidance.interfaces import Perceptor, PerceptorEntry
from vqclip.requirements.status import find
from vqclip.retrieval.embedder import batches, embed_files
from vqclip.retrieval.index import Index, Live
from vqclip.retrieval.records import Progress, Skipped, Waiting
from vqclip.retrieval.scan import Stamp, scan
from vqclip.weights.requirement import Requirement

FLUSH = 256  # images that a kill can lose
FORM = 1  # of the index; raise it where the same file gets another embedding

Updates = Generator[Skipped | Progress | Waiting, None, list[Live]]


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
        status = find(need).stat()
    except WeightsError:
        return "-"
    return f"{status.st_size}-{status.st_mtime_ns}"


def updated(
    folder: Path, where: Path, about: Mapping[str, str], perceptor: Perceptor, threads: int
) -> Updates:
    """Update the index at `where`; yields what happens, and returns its live rows.

    One process at a time does so, and others wait for it. What is written stays when this is closed early.
    """
    index = Index(where)
    index.make()
    try:
        with held(where):
            return (yield from _update(index, about, folder, perceptor, threads))
    except InUse as error:
        yield Waiting(str(error))
    with held(where, patience=-1):
        return (yield from _update(index, about, folder, perceptor, threads))


def _update(
    index: Index, about: Mapping[str, str], folder: Path, perceptor: Perceptor, threads: int
) -> Updates:
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
        read, vectors, broken = embed_files(perceptor, few, threads)
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
