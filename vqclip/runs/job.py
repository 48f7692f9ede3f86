"""A Job is a Config and the folder that it is painted in."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from vqclip.config.schema import Config


@dataclass(frozen=True)
class Job:
    config: Config
    folder: Path


def slug(config: Config) -> str:
    """The wishes in a file name's words, without letters that the file system can't spell."""
    letters, encoding = (
        " ".join(prompt.body for prompt in config.parsed_prompts).lower(),
        sys.getfilesystemencoding(),
    )
    words = re.findall(r"\w+", letters.encode(encoding, "ignore").decode(encoding))
    return "-".join(words)[:40].strip("-") or "untitled"
