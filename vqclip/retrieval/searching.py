"""Search a folder by its index; this imports no torch, which takes longer than a search of an index that is whole."""

from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from vqclip.base.errors import UsageError
from vqclip.guidance.interfaces import PerceptorEntry
from vqclip.guidance.perceptors.open_clip_config import OpenCLIPConfig
from vqclip.models.clip_text import text_tower
from vqclip.retrieval.approximate import nearest_of_many
from vqclip.retrieval.nearest import query_vector
from vqclip.retrieval.records import Match, Progress, Skipped, Waiting
from vqclip.retrieval.update import index_folder, updated
from vqclip.weights.clip_folder import clip_folder


class Embedder(Protocol):
    """Embed files and texts with one perceptor."""

    def files(self, paths: Sequence[Path]) -> tuple[list[Path], np.ndarray, list[Skipped]]: ...
    def file(self, path: Path) -> np.ndarray: ...
    def texts(self, texts: Sequence[str]) -> np.ndarray: ...


def search_folder(
    folder: Path,
    text: str | None,
    like: Sequence[Path],
    unlike: Sequence[str],
    count: int,
    entry: PerceptorEntry,
    embedder: Callable[[], Embedder],
) -> Generator[Match | Skipped | Progress | Waiting, None, None]:
    """Find the images under a folder, as Retrieval.search does; `embedder` is called where images have to be read."""
    wanted = [embedder().file(path) for path in like]
    wanted += list(embedded_texts([text], entry, embedder)) if text else []
    unwanted = list(embedded_texts(unlike, entry, embedder)) if unlike else []
    where, about = index_folder(folder, entry)
    live = yield from updated(folder, where, about, lambda paths: embedder().files(paths))
    found = nearest_of_many(live, query_vector(wanted, unwanted), count, where)
    for rank, (name, score) in enumerate(found, 1):
        yield Match(folder / name, score, rank)


def check_query(text: str | None, like: Sequence[object]) -> None:
    """Raise UsageError for a query that asks for nothing."""
    if not text and not like:
        raise UsageError('say what to look for: a text, as in "a dog on a beach", or --like IMAGE')


def embedded_texts(
    texts: Sequence[str], entry: PerceptorEntry, embedder: Callable[[], Embedder]
) -> np.ndarray:
    """Embed texts (n d) by the text tower alone where it can be read, or else by the whole perceptor."""
    folder = clip_folder(entry.model) if isinstance(entry, OpenCLIPConfig) else None
    tower = text_tower(folder) if folder else None
    return tower.embed(texts) if tower else embedder().texts(texts)
