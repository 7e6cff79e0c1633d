"""Exact nearest neighbours in memory, for a reader that is queried repeatedly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from localembed.store.lance.candidates import Candidate
from localembed.store.lance.vector_index import cosines, unit

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from localembed.types.arrays import Vector

_BATCH_ROWS = 8192
_YES = True


class NearestInMemory:
    """All vectors of a pinned table, normalized, in fp32: a search is one matrix product.

    100,000 vectors of 384 dimensions take 158 MB, with the ids of their rows, chunks and documents.
    """

    def __init__(
        self,
        handle: Any,  # noqa: ANN401 - lancedb
        rows: int,
        dim: int,
        unreadable: str | None = None,
    ) -> None:
        """Read the vectors.

        Args:
            handle: an open lancedb table.
            rows: its number of rows.
            dim: dimensions of a vector.
            unreadable: condition of rows that count as having no vector; None if there are none.
        """
        self._row_ids = np.empty(rows, np.uint64)
        self._chunk_ids, self._doc_ids = np.empty(rows, "V16"), np.empty(rows, "V16")
        self._matrix = np.zeros((rows, dim), np.float32)
        self._present = np.empty(rows, np.bool_)
        begin = 0
        query = handle.search().select(["chunk_id", "doc_id", "vector"]).with_row_id(_YES)
        for batch in query.to_batches(batch_size=_BATCH_ROWS):
            part = slice(begin, begin + batch.num_rows)
            vectors = batch["vector"]
            present = ~vectors.is_null().to_numpy(zero_copy_only=False)
            values = vectors.flatten().to_numpy(zero_copy_only=False)  # without nulls
            self._matrix[part][present] = values.reshape(-1, dim)
            self._present[part] = present
            self._row_ids[part] = batch["_rowid"].to_numpy()
            self._chunk_ids[part] = _ids(batch["chunk_id"])
            self._doc_ids[part] = _ids(batch["doc_id"])
            begin = part.stop
        if unreadable is not None:
            self._leave_out(handle.search().where(unreadable).select(["chunk_id"]))
        lengths = np.linalg.norm(self._matrix, axis=1, keepdims=True)
        self._matrix /= np.maximum(lengths, np.finfo(np.float32).tiny)
        self._by_row_id = np.argsort(self._row_ids)

    def _leave_out(self, query: Any) -> None:  # noqa: ANN401
        found = query.with_row_id(_YES).to_arrow()["_rowid"].to_numpy()
        rows = np.isin(self._row_ids, found)
        self._matrix[rows] = 0
        self._present[rows] = False

    @property
    def bytes(self) -> int:
        """Bytes of all arrays."""
        arrays = (
            self._matrix, self._row_ids, self._chunk_ids, self._doc_ids, self._present,
            self._by_row_id,
        )  # fmt: skip
        return sum(array.nbytes for array in arrays)

    def search(self, query: Vector, limit: int) -> list[Candidate]:
        """Return the nearest rows, best first; rows without a vector are skipped."""
        query = unit(query)
        similar = self._matrix @ query
        similar[~self._present] = -np.inf
        limit = min(limit, int(np.count_nonzero(self._present)))
        best = np.argpartition(-similar, limit - 1)[:limit] if limit else np.arange(0)
        best = best[np.argsort(-similar[best], kind="stable")]
        found = self._candidates(best, query, [0.0] * limit)
        return sorted(found, key=lambda candidate: -candidate.similarity)

    def compare(
        self, query: Vector, row_ids: Sequence[int], text_scores: Sequence[float]
    ) -> list[Candidate]:
        """Return the rows that full text found, in the same order, with their similarities."""
        ids = np.array(row_ids, np.uint64)
        rows = self._by_row_id[np.searchsorted(self._row_ids, ids, sorter=self._by_row_id)]
        return self._candidates(rows, unit(query), text_scores)

    def _candidates(
        self, rows: npt.NDArray[np.intp], query: Vector, text_scores: Sequence[float]
    ) -> list[Candidate]:
        similar = cosines(self._matrix[rows], query)
        ids = (every[rows].tolist() for every in (self._row_ids, self._chunk_ids, self._doc_ids))
        return list(map(Candidate, *ids, similar.tolist(), text_scores))


def _ids(column: pa.FixedSizeBinaryArray) -> npt.NDArray[np.void]:
    """Return a column of ids of 16 bytes, without copying it."""
    return np.frombuffer(column.buffers()[1], "V16", len(column), 16 * column.offset)
