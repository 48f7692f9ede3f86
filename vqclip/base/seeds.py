"""Randomness without a stream: every draw has a number of its own, derived from what it is for."""

import hashlib
import secrets


def derive(seed: int, purpose: str, frame: int = 0, step: int = 0) -> int:
    """A 63-bit integer that depends on all arguments and on nothing else.

    A resumed run, another order of jobs or another process therefore draws the same numbers.
    """
    key = f"{seed}/{purpose}/{frame}/{step}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") >> 1


def draw() -> int:
    """A fresh seed, short enough to be typed again."""
    return secrets.randbelow(2**32)
