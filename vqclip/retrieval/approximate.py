"""Search more images than can be compared one by one, by faiss where the extra `search` has installed it.

Rows are sorted into lists by the nearest of some centres, and a query compares those of the nearest lists (Jegou et
al., 2011), in 8 bits a number. What comes first is compared again exactly. The file lies beside the segments.
"""

import contextlib
import hashlib
import logging
import math
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from vqclip.base.errors import SaveError, cause
from vqclip.base.files import replacing
from vqclip.retrieval.index import Live
from vqclip.retrieval.nearest import CHUNK, nearest

MOST_EXACT = 1_000_000  # images
SHARE = 16  # one in so many lists is compared
SPARE = 8  # times as many candidates as are asked for


def nearest_of_many(
    live: Sequence[Live], query: np.ndarray, count: int, where: Path
) -> list[tuple[str, float]]:
    """Find what `nearest` finds, among more than MOST_EXACT rows nearly always; `where` is the index's folder.

    Raises SaveError.
    """
    total = sum(len(one.rows) for one in live)
    if total <= MOST_EXACT:
        return nearest(live, query, count)
    if find_spec("faiss") is None:
        logging.getLogger(__name__).warning(
            "%d images are compared one by one; pip install 'vqclip[search]' makes this faster", total
        )
        return nearest(live, query, count)
    lists = _opened(live, total, where)
    lists.nprobe = max(1, lists.nlist // SHARE)
    _, positions = lists.search(query[None], min(total, SPARE * count))
    return nearest(_at(live, np.sort(positions[0][positions[0] >= 0])), query, count)


def _opened(live: Sequence[Live], total: int, where: Path) -> Any:
    """Read the lists of these rows, or make and write them, and delete those of other rows."""
    import faiss  # noqa: PLC0415  # an extra

    digest = hashlib.sha256()
    for one in live:
        digest.update(one.segment.path.name.encode() + one.rows.tobytes())
    path = where / f"lists-{digest.hexdigest()[:16]}.faiss"
    if path.exists():
        with contextlib.suppress(RuntimeError):  # faiss's error for a damaged file; it is made again
            return faiss.read_index(str(path))
    lists = _made(live, total)
    try:
        with replacing(path) as new:
            faiss.write_index(lists, str(new))
    except OSError as error:
        raise SaveError(f"the index {where} can't be written: {cause(error)}") from None
    for old in where.glob("lists-*.faiss"):
        if old != path:
            old.unlink(missing_ok=True)
    return lists


def _made(live: Sequence[Live], total: int) -> Any:
    import faiss  # noqa: PLC0415  # an extra

    centres = max(1, int(4 * math.sqrt(total)))
    parts = _parts(live)
    first = next(parts)
    lists = faiss.index_factory(first.shape[1], f"IVF{centres},SQ8", faiss.METRIC_INNER_PRODUCT)
    lists.train(np.concatenate([part[:: max(1, total // (64 * centres))] for part in _parts(live)]))
    lists.add(first)
    for part in parts:
        lists.add(part)
    return lists


def _parts(live: Sequence[Live]) -> Iterator[np.ndarray]:
    for one in live:
        for start in range(0, len(one.rows), CHUNK):
            yield np.ascontiguousarray(one.segment.vectors[one.rows[start : start + CHUNK]])


def _at(live: Sequence[Live], positions: np.ndarray) -> list[Live]:
    """Give the rows at these positions, counted over all live rows."""
    found, start = [], 0
    for one in live:
        inside = positions[(positions >= start) & (positions < start + len(one.rows))] - start
        found.append(Live(one.segment, one.rows[inside]))
        start += len(one.rows)
    return found
