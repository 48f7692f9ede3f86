"""A Job is a Config and the folder that it is painted in."""

import re
from dataclasses import dataclass
from pathlib import Path

from vqclip.schema import Config


@dataclass(frozen=True)
class Job:
    config: Config
    folder: Path


def slug(config: Config) -> str:
    """The wishes in a file name's words."""
    words = re.findall(r"\w+", " ".join(wish.body for wish in config.wishes).lower())
    return "-".join(words)[:40].strip("-") or "untitled"
