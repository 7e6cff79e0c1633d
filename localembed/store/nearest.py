"""Exact nearest neighbours in memory, for a reader that is asked again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from localembed.types import Vector

MOST_BYTES = 200_000_000
"""Of vectors that are kept: 130,000 of 384 numbers. Above, Lance scans its files."""
_BATCH_ROWS = 8192
_YES = True


class NearestInMemory:
    """All vectors of a pinned table with length 1 in fp32: a search is one product.

    100,000 vectors of 384 numbers take 154 MB; rows without a vector are left out.
    """

    def __init__(self, handle: Any, rows: int, dim: int) -> None:  # noqa: ANN401 - lancedb
        """Read them.

        Args:
            handle: an open lancedb table.
            rows: how many it has.
            dim: numbers of a vector.
        """
        self._ids = np.empty(rows, np.uint64)
        self._matrix = np.empty((rows, dim), np.float32)
        kept = 0
        query = handle.search().where("vector IS NOT NULL").select(["vector"]).with_row_id(_YES)
        for batch in query.to_batches(batch_size=_BATCH_ROWS):
            values = batch["vector"].flatten().to_numpy(zero_copy_only=False)
            part = slice(kept, kept + batch.num_rows)
            self._matrix[part] = values.reshape(-1, dim)
            self._ids[part] = batch["_rowid"].to_numpy()
            kept += batch.num_rows
        self._ids, self._matrix = self._ids[:kept], self._matrix[:kept]
        lengths = np.linalg.norm(self._matrix, axis=1, keepdims=True)
        self._matrix /= np.maximum(lengths, np.finfo(np.float32).tiny)

    def search(self, query: Vector, limit: int) -> tuple[list[int], npt.NDArray[np.float32]]:
        """Return row ids and cosines of the nearest, best first."""
        length = float(np.linalg.norm(query))
        similar = self._matrix @ (query / length).astype(np.float32)
        limit = min(limit, len(similar))
        best = np.argpartition(-similar, limit - 1)[:limit] if limit < len(similar) else None
        chosen = np.arange(len(similar)) if best is None else best
        chosen = chosen[np.argsort(-similar[chosen], kind="stable")]
        return [int(number) for number in self._ids[chosen]], similar[chosen]
