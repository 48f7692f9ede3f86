"""Keep the embeddings of a folder's images on the disk, in segments that are written once and never changed.

NAME.npy    n d     unit vectors in float32, mapped into memory
NAME.json   n rows  the image's name in its folder, size, mtime_ns, inode

A segment counts from the moment that its .json has its name, which comes last. A row holds as long as the image has the
same size, time and inode. So a process that is killed loses at most the rows that it had not yet written.
"""

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vqclip.base.errors import SaveError, cause
from vqclip.base.files import atomic, sweep, write_text
from vqclip.retrieval.scan import Stamp

SMALL = 65_536  # rows of a segment that is joined with others
MOST_SMALL = 8  # segments


@dataclass(frozen=True)
class Segment:
    """Hold a segment's rows, its vectors mapped into memory."""

    path: Path  # of its .json
    names: list[str]
    stamps: list[Stamp]
    vectors: np.ndarray

    def rows(self) -> Iterator[tuple[str, Stamp]]:
        return zip(self.names, self.stamps, strict=True)


@dataclass(frozen=True)
class Live:
    """Give the rows of a segment whose images are there and unchanged."""

    segment: Segment
    rows: np.ndarray  # numbers, ascending


class Index:
    """Read and write the segments in one folder; only one process at a time may write."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.segments: list[Segment] = []

    def make(self) -> None:
        """Make the folder. Raises SaveError."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SaveError(
                f"the index {self.folder} can't be made: {cause(error)}; XDG_CACHE_HOME names another cache"
            ) from None

    def describe(self, about: Mapping[str, str]) -> None:
        """Say in about.json, for people, what the index is for. Hold the lock for it."""
        if not (self.folder / "about.json").exists():
            write_text(self.folder / "about.json", json.dumps(about, indent=1))

    def load(self) -> None:
        """Read the segments, and delete what killed processes left and what is damaged. Hold the lock for it."""
        sweep(self.folder)
        self.segments = []
        for path in sorted(self.folder.glob("*-*.json")):
            segment = _read(path)
            if segment is None:
                _delete(path)
            else:
                self.segments.append(segment)
        for path in self.folder.glob("*-*.npy"):
            if not path.with_suffix(".json").exists():
                path.unlink(missing_ok=True)

    def live(self, files: Mapping[str, Stamp]) -> list[Live]:
        """Find the rows that hold for the files of a folder; of two rows of an image the last counts."""
        taken: set[str] = set()
        found = []
        for segment in reversed(self.segments):
            rows = []
            for row, (name, stamp) in enumerate(segment.rows()):
                if name not in taken and files.get(name) == stamp:
                    taken.add(name)
                    rows.append(row)
            found.append(Live(segment, np.array(rows, np.int64)))
        return found[::-1]

    def add(self, rows: Sequence[tuple[str, Stamp]], vectors: np.ndarray) -> None:
        """Write a segment. Raises SaveError."""
        if rows:
            self.segments.append(self._write(rows, [vectors]))

    def compact(self, live: list[Live]) -> list[Live]:
        """Join segments where they are many and small, or where most rows no longer hold; give the rows that are live.

        Raises SaveError.
        """
        loose = {one.segment.path for one in live if len(one.segment.names) > 2 * len(one.rows)}
        small = {one.segment.path for one in live if len(one.segment.names) < SMALL}
        if not loose and len(small) <= MOST_SMALL:
            return live
        kept = [one for one in live if one.segment.path not in loose | small]
        joined = [one for one in live if one.segment.path in loose | small]
        rows = [(one.segment.names[row], one.segment.stamps[row]) for one in joined for row in one.rows]
        if rows:
            parts = (one.segment.vectors[one.rows] for one in joined if len(one.rows))
            kept.append(Live(self._write(rows, parts), np.arange(len(rows))))
        for one in joined:
            _delete(one.segment.path)
        self.segments = [one.segment for one in kept]
        return kept

    def _write(self, rows: Sequence[tuple[str, Stamp]], parts: Iterable[np.ndarray]) -> Segment:
        path = self.folder / f"{time.time_ns():020d}-{os.getpid()}.json"
        vectors = path.with_suffix(".npy")
        try:
            with atomic(vectors) as file:
                for i, part in enumerate(parts):
                    if i == 0:
                        header = {"descr": "<f4", "fortran_order": False, "shape": (len(rows), part.shape[1])}
                        np.lib.format.write_array_header_1_0(file, header)
                    file.write(np.ascontiguousarray(part, "<f4").data)
            write_text(path, json.dumps([[name, *stamp] for name, stamp in rows]))
        except OSError as error:
            with contextlib.suppress(OSError):
                vectors.unlink(missing_ok=True)
            raise SaveError(f"the index {self.folder} can't be written: {cause(error)}") from None
        names, stamps = (list(column) for column in zip(*rows, strict=True))
        return Segment(path, names, stamps, np.load(vectors, mmap_mode="r"))


def _read(path: Path) -> Segment | None:
    """Read a segment; None if it is damaged."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        vectors = np.load(path.with_suffix(".npy"), mmap_mode="r")
        names = [str(row[0]) for row in rows]
        stamps = [Stamp(*map(int, row[1:])) for row in rows]
    except (OSError, ValueError, TypeError, IndexError):
        return None
    is_whole = vectors.ndim == 2 and len(vectors) == len(names) > 0 and vectors.dtype == np.float32
    return Segment(path, names, stamps, vectors) if is_whole else None


def _delete(path: Path) -> None:
    """Delete a segment; the .json first, for without it the vectors don't count."""
    path.unlink(missing_ok=True)
    path.with_suffix(".npy").unlink(missing_ok=True)
