"""Derive a seed for each use of random numbers."""

import hashlib
import re
import secrets


def derive(seed: int, purpose: str, frame: int = 0, step: int = 0) -> int:
    """Return a 63-bit integer that depends on all arguments and on nothing else.

    So a resumed run, another order of jobs or another process draws the same numbers.
    """
    key = f"{seed}/{purpose}/{frame}/{step}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") >> 1


def of_words(text: str) -> int | None:
    """Return the seed that words stand for, or None for a text that is empty or looks like a number."""
    words = " ".join(text.split())
    return None if re.match(r"[-+.]?\d|$", words) else derive(0, f"seed {words}") % 2**32


def draw() -> int:
    """Draw a new seed that is short enough to type."""
    return secrets.randbelow(2**32)
