"""Define a Job: a Config and its run folder."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vqclip.config.schema import Config  # the help lists options without loading the schema


@dataclass(frozen=True)
class Job:
    config: "Config"
    folder: Path


def slug(config: "Config") -> str:
    """Shorten the prompts to words for a file name, without letters that the file system can't spell."""
    letters, encoding = (
        " ".join(prompt.body for prompt in config.parsed_prompts).lower(),
        sys.getfilesystemencoding(),
    )
    words = re.findall(r"\w+", letters.encode(encoding, "ignore").decode(encoding))
    return "-".join(words)[:40].strip("-") or "untitled"
