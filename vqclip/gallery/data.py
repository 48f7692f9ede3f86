"""Collect the page's data: an entry for each run, with links to its files."""

import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vqclip import __version__
from vqclip.base.errors import VqclipError
from vqclip.gallery.entry import Entry, read_entry
from vqclip.gallery.thumbnails import size_of, strip, thumbnail

log = logging.getLogger(__name__)

Link = Callable[[Entry, Path], str]  # the address of a run's file on the page
_MISSING = object()


def run_data(folder: Path, thumbnails: Path, prefix: str, link: Link) -> dict[str, Any]:
    """Give one run as the page reads it, and make its thumbnails in `thumbnails`.

    `prefix` begins the thumbnails' addresses, and `link` gives those of the run's own files. Raises RunError,
    ImageError or VideoError if a file is damaged.
    """
    entry = read_entry(folder)
    small, frames, (width, height) = thumbnail(entry, thumbnails), strip(entry, thumbnails), size_of(entry)
    return entry.to_dict() | {
        "width": width,
        "height": height,
        "thumb": small and prefix + small,
        "image": entry.image and link(entry, entry.image),
        "video": entry.video and link(entry, entry.video),
        "frames": frames and frames | {"file": prefix + frames["file"]},
    }


def readable(folders: Iterable[Path], read: Callable[[Path], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the data of each run; a warning names one that can't be read."""
    for folder in folders:
        try:
            yield read(folder)
        except (VqclipError, OSError) as error:
            log.warning("%s is left out: %s", folder, error)


def page_data(runs: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Put runs together. Settings that most of them share are in `base`, and each run has those that differ.

    A setting that a run lacks is null in it.
    """
    runs = list(runs)
    base = _most_common([run["settings"] for run in runs])
    slim = [run | {"settings": _differing(run["settings"], base)} for run in runs]
    return {"version": __version__, "base": base, "runs": slim}


def as_json(data: Any) -> str:
    """Spell data for a script element of the type application/json: no letter in it can end the element."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def relative_link(page: Path) -> Link:
    """Link to files by their paths from the folder of a page."""
    folder = page.resolve().parent
    return lambda _, path: quote(os.fsencode(os.path.relpath(path.resolve(), folder)))


def _most_common(all_settings: list[dict[str, Any]]) -> dict[str, Any]:
    counts: dict[str, Counter[str]] = {}
    for settings in all_settings:
        for key, value in settings.items():
            counts.setdefault(key, Counter())[json.dumps(value)] += 1
    return {key: json.loads(count.most_common(1)[0][0]) for key, count in counts.items()}


def _differing(settings: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    return {key: settings.get(key) for key, value in base.items() if settings.get(key, _MISSING) != value}
