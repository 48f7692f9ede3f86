"""Settings of the whole process: signals, threads, memory. Only entry points change them for good.

Entry points are the command line and the processes of workers.
"""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from vqclip.base.stop import StopToken

Item = TypeVar("Item")

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP
# glibc's mallopt: how much free memory at the heap's end goes back to the system, and how many blocks may lie outside
# the heap; each with its default.
_M_TRIM_THRESHOLD, _TRIM_AT = -1, 128 * 2**10
_M_MMAP_MAX, _MMAP_UP_TO = -4, 65536


def use_large_pages() -> None:
    """Let torch ask for memory in pages of 2 MiB; it looks once, so call this before torch is imported.

    Linux hands out pages of 4 KiB unless asked, which takes longer than most of what is done to a fresh tensor.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def spin_briefly() -> None:
    """Let a thread of GNU's OpenMP that waits for another sleep soon; call this before torch is imported.

    Unless this is set it spins for long. Where other work runs beside, that takes the core that the other needs.
    docs/log.md has the figures.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "3000"


def keep_pages(keep: bool) -> None:
    """Let this process keep the memory that large tensors leave, for the next ones, or give it back as is usual.

    glibc gives blocks of megabytes back to the system at once and asks for them again, page by page: half of the
    time of an addition. A heap with holes is the price. Elsewhere than on glibc nothing happens.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0 if keep else _MMAP_UP_TO)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1 if keep else _TRIM_AT)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch share sums among `count` threads inside a `with`, and restore the number that it used before."""
    import torch  # noqa: PLC0415  # the command line imports this module

    before = torch.get_num_threads()
    if count != before:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if count != before:
            torch.set_num_threads(before)


def with_threads(items: Generator[Item, None, None], count: int) -> Generator[Item, None, None]:
    """Iterate with `count` threads; between two items, the process has the number that it had."""
    try:
        while True:
            with threads(count):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item
    finally:
        items.close()


class Signals:
    """SIGINT, SIGTERM and SIGHUP as calls of a StopToken; `number` is the signal that came, if one did.

    For the main thread alone, as Python has it.
    """

    number: int | None = None

    def __init__(self, token: StopToken):
        self.token = token
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Let the next signal stop the token, and the one after that be obeyed at once."""
        for number in SIGNALS:
            handler = signal.getsignal(number)
            if number not in self._before and handler is not signal.SIG_IGN:  # as nohup has it
                self._before[number] = signal.signal(number, self._on_signal)

    def restore(self) -> None:
        """Put the former handlers back."""
        for number in list(self._before):
            signal.signal(number, self._before.pop(number))

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self.restore()
        self.token.stop()


@contextmanager
def stopping_on_signals(token: StopToken) -> Iterator[Signals]:
    """Let the first signal inside a `with` stop a token, and obey the second at once."""
    signals = Signals(token)
    signals.install()
    try:
        yield signals
    finally:
        signals.restore()


@contextmanager
def shielded_children() -> Iterator[None]:
    """Let processes that start inside a `with` ignore Ctrl-C. Elsewhere than in the main thread nothing happens."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
