"""A Job is a Config and the folder that it is painted in."""

from dataclasses import dataclass
from pathlib import Path

from vqclip.schema import Config


@dataclass(frozen=True)
class Job:
    config: Config
    folder: Path
