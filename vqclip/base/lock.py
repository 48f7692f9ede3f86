"""Lock a folder for one process at a time."""

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from vqclip.base.errors import InUse, RunError, cause

LOCK = "lock"


@contextlib.contextmanager
def held(folder: Path, patience: float = 0.0) -> Iterator[None]:
    """Lock a folder. Raises InUse, which names the owner, if that takes longer than `patience` seconds; -1 is for ever.

    The operating system releases the lock when its owner ends, also when it is killed. So no lock outlives its owner.
    """
    path = folder / LOCK
    lock = FileLock(path, thread_local=False)  # a generator may be closed by another thread
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        raise InUse(f"{folder} is in use by {_owner(path)}; wait for its end, or stop it") from None
    except OSError as error:
        raise RunError(f"{folder} can't be written to: {cause(error)}") from None
    try:
        with contextlib.suppress(OSError):  # a full disk: the lock holds without a name on it
            path.write_text(
                json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": _now()})
            )
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows doesn't unlink what is open
            path.unlink()
        lock.release()


def _owner(path: Path) -> str:
    """Describe the owner of a lock."""
    try:
        owner = json.loads(path.read_text())
        return f"process {owner['process']} on {owner['host']}, since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def is_held(folder: Path) -> bool:
    """Tell whether a process holds a folder's lock, without taking it or writing anything."""
    try:
        import fcntl  # noqa: PLC0415  # Windows has none
    except ImportError:
        return (folder / LOCK).exists()
    try:
        with (folder / LOCK).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
