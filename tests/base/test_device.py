"""Arithmetic and memory of a device."""

import sys
from types import SimpleNamespace

import pytest

from vqclip.base.runtime import keep_pages

MMAP_MAX, TRIM_THRESHOLD = -4, -1  # as glibc's malloc.h numbers them


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What a C library is asked of its heap, on whatever system the tests run."""
    common: list[tuple[int, int]] = []
    put(monkeypatch, "linux", SimpleNamespace(mallopt=lambda *given: common.append(given)))
    return common


def put(monkeypatch: pytest.MonkeyPatch, system: str, libc: object) -> None:
    """Put a system and its C library in place of this machine's."""
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr("ctypes.CDLL", lambda name: libc)


def test_kept_pages_lie_in_the_heap_and_are_never_trimmed(calls: list[tuple[int, int]]) -> None:
    keep_pages(True)
    assert dict(calls) == {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1}


def test_pages_that_are_not_kept_are_treated_as_glibc_does_unasked(calls: list[tuple[int, int]]) -> None:
    keep_pages(False)
    assert dict(calls) == {MMAP_MAX: 65536, TRIM_THRESHOLD: 128 * 2**10}


@pytest.mark.parametrize(
    ("system", "libc"), [("linux", SimpleNamespace()), ("darwin", None), ("win32", None)]
)
def test_a_heap_without_such_options_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, system: str, libc: object
) -> None:
    """musl has no mallopt; where there is no C library at all, looking into one would raise."""
    put(monkeypatch, system, libc)
    keep_pages(True)
