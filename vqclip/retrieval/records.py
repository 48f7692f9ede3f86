"""Define what the retrieval's generators yield, as plain records."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Skipped:
    """Say that a file or folder was passed by, and why, in one line that names it."""

    path: Path
    cause: str


@dataclass(frozen=True)
class Progress:
    """Say how many of the images that must be read have been read."""

    done: int
    total: int


@dataclass(frozen=True)
class Waiting:
    """Say that another process writes the same index, and that this one waits for its end."""

    cause: str


@dataclass(frozen=True)
class Classified:
    """Give an image's labels with their probabilities, the most probable first."""

    path: Path
    labels: list[tuple[str, float]]


@dataclass(frozen=True)
class Embedded:
    """Give the embedding (d) of a file or of a text, as a unit vector in float32."""

    name: str
    vector: np.ndarray


@dataclass(frozen=True)
class Match:
    """Give an image that a search found: its rank from 1, and its score."""

    path: Path
    score: float
    rank: int


@dataclass(frozen=True)
class Scored:
    """Give an image's mean similarity to the prompts, and each perceptor's by its name."""

    path: Path
    score: float
    by_model: dict[str, float]


@dataclass(frozen=True)
class Retrieved:
    """Give the rank of an image's own prompt among all prompts, and the prompt that is most similar to the image."""

    path: Path
    prompt: str
    rank: int
    first: str
