"""Write files whole or not at all."""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from vqclip.base.errors import UsageError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"BM", b"II*\0", b"MM\0*")  # of these, in bytes
LONGEST_NAME = 255  # bytes, on nearly every file system


@contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """Make a new, empty file beside `path`, and delete it at the end unless it was renamed.

    If the process is killed meanwhile, `sweep` finds the file.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def replacing(path: Path, previous: Path | None = None) -> Iterator[Path]:
    """Make a scratch file to write to. At the end it is synced and replaces `path`.

    What lay at `path` before goes to `previous`, if that is given; a link stays, and what it leads to is replaced. If
    anything raises within, it stays untouched and nothing is left beside it.
    """
    path = path.resolve() if path.is_symlink() else path
    with scratch(path) as new:
        yield new
        sync(new)
        os.chmod(new, 0o666 & ~_umask())
        if previous is not None:
            with contextlib.suppress(FileNotFoundError):
                os.replace(path, previous)
        os.replace(new, path)
    sync_folder(path.parent)


@contextmanager
def atomic(path: Path, previous: Path | None = None) -> Iterator[BinaryIO]:
    """Open a file for writing that appears under its name only when all of it is on the disk: see `replacing`."""
    with replacing(path, previous) as new, new.open("wb") as file:
        yield file


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8. Bytes of a file's name that aren't UTF-8 are escaped as in JSON."""
    with atomic(path) as file:
        file.write(text.encode(errors="backslashreplace"))


def copy(source: Path, target: Path) -> None:
    with source.open("rb") as reading, atomic(target) as writing:
        shutil.copyfileobj(reading, writing)


def sweep(folder: Path) -> None:
    """Delete the unfinished files of killed processes. No process may be writing in the folder."""
    for path in folder.iterdir():
        if re.fullmatch(r"\..+\.[a-z0-9_]{8}", path.name) and path.is_file():
            path.unlink(missing_ok=True)


def check_target(path: Path, example: str) -> None:
    """Check that a file of this name could be written, such as `example`, in a folder that is there or can be made.

    Raises UsageError.
    """
    if len(os.fsencode(path.name)) > LONGEST_NAME:
        raise UsageError(
            f"{path}: no file's name may have more than {LONGEST_NAME} bytes; write a shorter one"
        )
    if os.path.isdir(path):
        raise UsageError(f"{path} is a folder; name a file in it, as in {path / example}")
    if os.path.exists(path) and not os.path.isfile(path):
        raise UsageError(f"{path} is no file but a device or a pipe; name a file, as in {example}")
    folder = (path.resolve() if path.is_symlink() else path.absolute()).parent
    nearest = next(there for there in (folder, *folder.parents) if os.path.exists(there))
    if not nearest.is_dir():
        raise UsageError(f"{path}: {nearest} is a file; name a folder")
    if not is_writable(nearest):
        raise UsageError(f"{path}: the folder {nearest} can't be written to; name another")


def is_writable(folder: Path) -> bool:
    """Tell whether files can be made in a folder, by making one that has no name and is gone at once.

    Permissions alone don't tell: root may write anywhere, but not to /proc or to a disk that is mounted read-only.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            return os.access(folder, os.W_OK)
    except OSError:
        return False


def is_image(path: Path) -> bool:
    """Tell by its first bytes whether a file is an image, whatever its name says; raises OSError."""
    with path.open("rb") as file:
        head = file.read(1024)
    return head.startswith(_SIGNATURES) and b"\0" in head  # a text has none


def make_folder(path: Path) -> None:
    """Make the folder of a file that is about to be written; raises OSError."""
    (path.resolve() if path.is_symlink() else path).parent.mkdir(parents=True, exist_ok=True)


def sync(path: Path) -> None:
    """Sync a file's content to the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Sync a folder's names to the disk, if the system can. A rename survives a power cut only after this."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _umask() -> int:
    """Return the process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
