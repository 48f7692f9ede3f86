"""Cut paths into batches that are embedded together."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

BATCH = 32  # images


def batches(paths: Iterable[Path]) -> Iterator[list[Path]]:
    """Cut paths into batches."""
    rest = iter(paths)
    while few := list(islice(rest, BATCH)):
        yield few
