"""Find the rows of an index that are nearest to a query."""

from collections.abc import Sequence

import numpy as np

from vqclip.retrieval.index import Live

CHUNK = 16_384  # rows whose scores are computed together


def query_vector(wanted: Sequence[np.ndarray], unwanted: Sequence[np.ndarray]) -> np.ndarray:
    """Give the vector (d) whose product with an image's is its mean similarity to what is wanted, less the others'."""
    vector = np.mean(wanted, axis=0)
    if len(unwanted):
        vector = vector - np.mean(unwanted, axis=0)
    return np.asarray(vector, np.float32)


def nearest(live: Sequence[Live], query: np.ndarray, count: int) -> list[tuple[str, float]]:
    """Give the names and scores of the `count` live rows of the highest product with a query (d), the best first.

    All rows are compared, a chunk at a time, so that memory doesn't grow with them.
    """
    best: list[tuple[str, float]] = []
    for one in live:
        for start in range(0, len(one.rows), CHUNK):
            rows = one.rows[start : start + CHUNK]
            scores = one.segment.vectors[rows] @ query
            few = np.argpartition(-scores, min(count, len(rows)) - 1)[:count]
            best += [(one.segment.names[rows[i]], float(scores[i])) for i in few]
            best = sorted(best, key=lambda pair: (-pair[1], pair[0]))[:count]
    return best
