"""The checkpoints that have names, and where their files lie."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from vqclip.errors import WeightsError
from vqclip.resources import CHECKPOINTS


@dataclass(frozen=True)
class ModelCard:
    """What is known about a checkpoint before it is opened."""

    name: str
    family: str  # "vqgan", "clip" or "sketcher"
    about: str
    licence: str
    folder: str
    file: str
    bytes: int
    sha256: str

    @property
    def path(self) -> Path:
        """The weights' file, whether it is there or not."""
        return CHECKPOINTS / self.folder / self.file

    def verify(self) -> Path:
        """The path of the weights, once they are known to be there, whole and unchanged; raises WeightsError."""
        if not self.path.is_file():
            raise WeightsError(f"{self.name}: {self.path} is missing; get a fresh copy of vqclip")
        if self.path.stat().st_size != self.bytes or digest(self.path) != self.sha256:
            raise WeightsError(
                f"{self.name}: {self.path} is damaged or not the file that this vqclip knows; get a fresh copy"
            )
        return self.path


@cache
def cards() -> dict[str, ModelCard]:
    """All cards by name."""
    entries = yaml.safe_load(Path(__file__).with_name("catalog.yaml").read_text(encoding="utf-8"))
    return {name: ModelCard(name=name, **entry) for name, entry in entries.items()}


def names(family: str) -> list[str]:
    return [card.name for card in cards().values() if card.family == family]


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
