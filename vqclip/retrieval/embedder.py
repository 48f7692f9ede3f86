"""Embed files of images in batches; a file that can't be read is named and passed by."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vqclip.base.errors import ImageError
from vqclip.guidance.interfaces import Perceptor
from vqclip.media.opening import open_image
from vqclip.retrieval.records import Skipped


def embed_files(
    perceptor: Perceptor, paths: Sequence[Path], threads: int = 1
) -> tuple[list[Path], np.ndarray, list[Skipped]]:
    """Give the files of a batch that were read, their embeddings (n d) in float32, and those that weren't.

    As many threads read files. The errors of one file don't affect the others.
    """
    with ThreadPoolExecutor(threads) as pool:
        crops = list(pool.map(lambda path: _crop(perceptor, path), paths))
    whole = [(path, crop) for path, crop in zip(paths, crops, strict=True) if isinstance(crop, Tensor)]
    skipped = [crop for crop in crops if isinstance(crop, Skipped)]
    return [path for path, _ in whole], embed_crops(perceptor, [crop for _, crop in whole]), skipped


class PerceptorEmbedder:
    """Embed files and texts with one perceptor; `threads` read files."""

    def __init__(self, perceptor: Perceptor, threads: int):
        self._perceptor, self._threads = perceptor, threads

    def files(self, paths: Sequence[Path]) -> tuple[list[Path], np.ndarray, list[Skipped]]:
        return embed_files(self._perceptor, paths, self._threads)

    def file(self, path: Path) -> np.ndarray:
        return embed_file(self._perceptor, path)

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        return embed_texts(self._perceptor, texts)


def embed_file(perceptor: Perceptor, path: Path) -> np.ndarray:
    """Embed one file as a unit vector (d); raises ImageError."""
    vector: np.ndarray = embed_crops(perceptor, [perceptor.square(open_image(path))])[0]
    return vector


@torch.no_grad()
def embed_crops(perceptor: Perceptor, crops: Sequence[Tensor]) -> np.ndarray:
    """Embed crops (3 s s) of whole images -> (n d) in float32."""
    if not crops:
        return np.zeros((0, 0), np.float32)
    return perceptor.embed_crops(torch.stack(list(crops)).to(perceptor.device)).float().cpu().numpy()


def embed_texts(perceptor: Perceptor, texts: Sequence[str]) -> np.ndarray:
    """Embed texts -> (n d) in float32."""
    parts = [perceptor.embed_texts(texts[i : i + 256]) for i in range(0, len(texts), 256)]
    return torch.cat(parts).float().cpu().numpy()


def _crop(perceptor: Perceptor, path: Path) -> Tensor | Skipped:
    try:
        return perceptor.square(open_image(path))
    except ImageError as error:
        return Skipped(path, str(error))
