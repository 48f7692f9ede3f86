"""Find the folder of a batch: each file has one of its own, which is found again when the batch goes on."""

import json
import os
import re
from collections.abc import Collection, Iterator
from itertools import count
from pathlib import Path
from typing import Any

MANIFEST = "manifest.jsonl"


def folder_for(file: Path, runs: Path, digests: Collection[str]) -> Path:
    """Give the first folder of `runs` that has a name for `file` and isn't another file's batch.

    `digests` are those of the file's jobs. For jobs.csv the names are jobs, jobs-csv, jobs-csv-2 and so on.
    """
    return next(folder for folder in _candidates(file, runs) if belongs(folder, file, digests))


def belongs(folder: Path, file: Path, digests: Collection[str]) -> bool:
    """Tell whether a folder is free, or holds the batch of this file.

    A manifest of an earlier version doesn't name its file, and files are moved; those belong if they share a job.
    """
    lines = read_manifest(folder)
    named = {str(line["file"]) for line in lines if "file" in line}
    if not lines or os.path.abspath(file) in named:
        return True
    is_alike = not named or file.name in {Path(name).name for name in named}
    return is_alike and any(line.get("digest") in digests for line in lines)


def read_manifest(folder: Path) -> list[dict[str, Any]]:
    """Read the lines of a batch's manifest; give none if it isn't there or is damaged."""
    try:
        text = (folder / MANIFEST).read_text(encoding="utf-8")
        return [line for line in map(json.loads, text.splitlines()) if isinstance(line, dict)]
    except (OSError, ValueError):
        return []


def _candidates(file: Path, runs: Path) -> Iterator[Path]:
    stem, kind = _safe(file.stem) or "batch", _safe(file.suffix)
    yield runs / stem
    suffixed = f"{stem}-{kind}" if kind else stem
    if kind:
        yield runs / suffixed
    yield from (runs / f"{suffixed}-{number}" for number in count(2))


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name).strip(".-")
