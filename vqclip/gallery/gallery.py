"""Write a gallery: a page, and a folder of thumbnails beside it."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vqclip.base.errors import SaveError, UsageError, cause
from vqclip.base.files import check_target, write_text
from vqclip.gallery.data import page_data, readable, relative_link, run_data
from vqclip.gallery.page import build

THUMBNAILS = "-thumbnails"  # ends the name of a page's folder


def write_gallery(folders: Sequence[Path], page: Path) -> int:
    """Write the gallery of run folders, and give the number of runs on it; a warning names each that can't be read.

    Thumbnails that are newer than their runs are kept, and those of other runs are deleted. Raises UsageError, and
    SaveError if a file can't be written.
    """
    check_page(page)
    thumbnails = page.with_name(page.stem + THUMBNAILS)
    try:
        thumbnails.mkdir(parents=True, exist_ok=True)
        runs = list(readable(folders, _reader(page, thumbnails)))
        write_text(page, build(page_data(runs)))
        _sweep(thumbnails, runs)
    except OSError as error:
        raise SaveError(f"{error.filename or page} can't be written: {cause(error)}") from None
    return len(runs)


def check_page(page: Path) -> None:
    """Check, before any work, that a page can be written. Raises UsageError."""
    if page.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"-o {page}: a gallery is one HTML page; name it {page.stem or 'gallery'}.html")
    check_target(page, "gallery.html")


def _reader(page: Path, thumbnails: Path) -> Callable[[Path], dict[str, Any]]:
    prefix, link = f"{quote(os.fsencode(thumbnails.name))}/", relative_link(page)
    return lambda folder: run_data(folder, thumbnails, prefix, link)


def _sweep(thumbnails: Path, runs: Sequence[dict[str, Any]]) -> None:
    """Delete the thumbnails of runs that are no longer on the page."""
    shown = {run["id"] for run in runs}
    for path in thumbnails.iterdir():
        match = re.fullmatch(r"([0-9a-f]{12})(-frames)?\.webp", path.name)
        if match and match[1] not in shown:
            path.unlink(missing_ok=True)
