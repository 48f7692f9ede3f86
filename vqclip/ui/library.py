"""Keep the data of all runs in a folder, and read again only what has changed."""

import re
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vqclip.base.errors import UsageError
from vqclip.gallery.data import page_data, readable, run_data
from vqclip.gallery.entry import PROGRESS_KINDS, Entry
from vqclip.gallery.find import find_runs, run_id
from vqclip.pipeline.progress_video import VIDEO as PROGRESS
from vqclip.runs.folder_layout import CONFIG, IMAGE, RECORD, STEPS, VIDEO

THUMBNAILS = ".gallery"  # in the folder of the runs


class Library:
    """Hold the runs in a folder, for the page. Its methods may be called by any thread."""

    def __init__(self, runs: Path):
        self.runs, self.thumbnails = runs, runs / THUMBNAILS
        self._read: dict[Path, tuple[list[float], dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def page(self) -> dict[str, Any]:
        """Give the page's data of all runs that can be read."""
        with self._lock:
            self.thumbnails.mkdir(parents=True, exist_ok=True)
            return page_data(readable(self._folders(), self._run))

    def folder(self, name: str) -> Path | None:
        """Give the run folder with this id, or None."""
        return next((folder for folder in self._folders() if run_id(folder) == name), None)

    def file(self, run: str, name: str) -> Path | None:
        """Give the path of a run's image or video, or None if it has no such file."""
        folder = self.folder(run)
        return folder / name if folder and name in _SERVED and (folder / name).is_file() else None

    def thumbnail(self, name: str) -> Path | None:
        """Give the path of a thumbnail, or None if there is none of this name."""
        path = self.thumbnails / name
        return path if re.fullmatch(r"[0-9a-f]{12}(-frames)?\.webp", name) and path.is_file() else None

    def _folders(self) -> list[Path]:
        try:
            return find_runs([self.runs])
        except UsageError:  # there are no runs yet
            return []

    def _run(self, folder: Path) -> dict[str, Any]:
        stamps = [(folder / name).stat().st_mtime if (folder / name).is_file() else 0.0 for name in _WATCHED]
        if folder not in self._read or self._read[folder][0] != stamps:
            self._read[folder] = stamps, run_data(folder, self.thumbnails, "thumbnails/", _link)
        return self._read[folder][1]


_SERVED = (IMAGE, VIDEO, *(PROGRESS + kind for kind in PROGRESS_KINDS))
_WATCHED = (CONFIG, STEPS, RECORD, *_SERVED)


def _link(entry: Entry, path: Path) -> str:
    return f"files/{entry.id}/{quote(path.name)}?{path.stat().st_mtime_ns}"
