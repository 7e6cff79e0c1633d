"""The read side: one table at the version that head.json pins. It works on read-only media."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from localembed.store.lance import connect, lance_errors
from localembed.store.layout import Layout

if TYPE_CHECKING:
    import pyarrow as pa

    from localembed.types import Vector

_COLUMNS = [
    "chunk_id", "doc_id", "root_id", "path_bytes", "start", "end", "start_line", "end_line",
    "heading", "text",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk that one of the searches brought up."""

    chunk_id: bytes
    root_id: str
    path: bytes
    start: int
    end: int
    start_line: int
    end_line: int
    heading: str
    text: str
    similarity: float
    """Cosine to the query vector; 0 where either has none."""
    text_score: float
    """BM25; 0 for a chunk that full text did not bring up."""


class ChunkReader:
    """A table, frozen at one version."""

    def __init__(self, layout: Layout, name: str, version: int) -> None:
        """Open a table at a version.

        Raises:
            VersionGoneError: the version is not there any more; read head.json again.
        """
        self._folder: Path = layout.table(name)
        database = connect(layout.vectors)
        with lance_errors(self._folder):
            self._handle: Any = database.open_table(name, version=version)

    def by_vector(self, query: Vector, limit: int) -> list[Candidate]:
        """Return the chunks whose vectors are most similar, best first."""
        with lance_errors(self._folder):
            rows = (
                self._handle.search(query, vector_column_name="vector")
                .distance_type("cosine")
                .limit(limit)
                .select([*_COLUMNS, "_distance"])
                .to_arrow()
            )
        distances = rows["_distance"].to_pylist() if rows.num_rows else []
        return _candidates(rows, [1.0 - d for d in distances], [0.0] * rows.num_rows)

    def by_text(self, query: str, limit: int, vector: Vector | None) -> list[Candidate]:
        """Return the chunks that match words of the query, best first.

        Args:
            query: words, taken as they are: quotes and operators mean nothing.
            limit: how many.
            vector: if given, the candidates carry their exact similarity to it.
        """
        from lancedb.query import MatchQuery

        if not self._has_text_index():
            return []
        columns = [*_COLUMNS, "_score", *(["vector"] if vector is not None else [])]
        with lance_errors(self._folder):
            rows = (
                self._handle.search(MatchQuery(query, "search_text"), query_type="fts")
                .limit(limit)
                .select(columns)
                .to_arrow()
            )
        similar = _similarities(rows, vector) if vector is not None else [0.0] * rows.num_rows
        return _candidates(rows, similar, rows["_score"].to_pylist() if rows.num_rows else [])

    def _has_text_index(self) -> bool:
        with lance_errors(self._folder):
            return any("search_text" in index.columns for index in self._handle.list_indices())


def _similarities(rows: pa.Table, query: Vector) -> list[float]:
    """Return the cosine of each row's vector to the query, 0 where it has none."""
    if not rows.num_rows:
        return []
    column = rows["vector"].combine_chunks()
    present = ~column.is_null().to_numpy(zero_copy_only=False)
    similar = np.zeros(rows.num_rows, np.float32)
    if present.any():
        flat = column.drop_null().flatten().to_numpy(zero_copy_only=False)
        matrix = flat.reshape(-1, len(query)).astype(np.float32)
        lengths = np.linalg.norm(matrix, axis=1) * np.linalg.norm(query)
        similar[present] = (matrix @ query) / np.maximum(lengths, np.finfo(np.float32).tiny)
    return [float(value) for value in similar]


def _candidates(
    rows: pa.Table, similar: Sequence[float], text_scores: Sequence[float]
) -> list[Candidate]:
    found: list[Candidate] = []
    for row, similarity, text_score in zip(rows.to_pylist(), similar, text_scores, strict=True):
        row = {name: row[name] for name in _COLUMNS if name != "doc_id"}
        path = row.pop("path_bytes")
        found.append(Candidate(path=path, similarity=similarity, text_score=text_score, **row))
    return found
