"""Types of command line arguments for argparse; each refuses a wrong value in one line that says what is allowed."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from collections.abc import Callable

import torch


def whole(minimum: int = 1) -> Callable[[str], int]:
    """Make a type of whole numbers from `minimum`."""

    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < minimum:
            raise ArgumentTypeError(f"{text}: write a whole number from {minimum}")
        return int(text)

    return read


def number(maximum: float = math.inf) -> Callable[[str], float]:
    """Make a type of numbers from 0 to `maximum`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 <= value <= maximum or math.isinf(value):
            limit = "" if math.isinf(maximum) else f" to {maximum:g}"
            raise ArgumentTypeError(f"{text}: write a number from 0{limit}")
        return value

    return read


def several(one: Callable[[str], int]) -> Callable[[str], tuple[int, ...]]:
    """Make a type of numbers that commas part."""
    return lambda text: tuple(one(part) for part in text.split(","))


def device(text: str) -> str:
    """Read a device of torch that this machine has."""
    if text == "cpu" or (torch.cuda.is_available() and text.partition(":")[0] == "cuda"):
        try:
            torch.zeros(0, device=text)
        except (RuntimeError, AssertionError):
            pass
        else:
            return text
    known = "cpu or cuda" if torch.cuda.is_available() else "cpu, as torch finds no GPU here"
    raise ArgumentTypeError(f"{text}: write {known}")
