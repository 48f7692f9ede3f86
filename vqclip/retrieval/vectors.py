"""Write embeddings for other programs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vqclip.base.errors import SaveError, cause
from vqclip.base.files import atomic
from vqclip.retrieval.records import Embedded


def write_vectors(path: Path, found: Sequence[Embedded], model: str) -> None:
    """Write `embeddings` (n d), `names` (n) and `model` as .npz, whole or not at all. Raises SaveError.

    Bytes of a name that aren't UTF-8 are escaped, since numpy's texts hold none.
    """
    names = [one.name.encode(errors="backslashreplace").decode() for one in found]
    vectors = np.stack([one.vector for one in found]) if found else np.zeros((0, 0), np.float32)
    try:
        with atomic(path) as file:
            np.savez(file, embeddings=vectors, names=np.array(names, dtype=np.str_), model=np.array(model))
    except OSError as error:
        raise SaveError(f"{path} can't be written: {cause(error)}") from None
