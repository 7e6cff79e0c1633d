"""Read one table at the version that head.json pins; this works on read-only media."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from threading import Lock
from typing import TYPE_CHECKING, Any
from weakref import finalize

import numpy as np

from localembed.errors import StorageError, UsageError
from localembed.store.lance.candidates import Candidate, StoredChunk
from localembed.store.lance.connection import (
    CACHE_BYTES,
    check_uuid,
    first_sentence,
    lance_errors,
    open_table,
    table_uuid,
)
from localembed.store.lance.disk_names import (
    FILTER_FAILED_ON_A_ROW,
    manifest_path,
    versions_on_disk,
)
from localembed.store.lance.links import linked_view
from localembed.store.lance.memory_index import NearestInMemory
from localembed.store.lance.rows import UNREADABLE
from localembed.store.lance.vector_index import (
    narrowed,
    search_all,
    search_index,
    similarities,
)
from localembed.store.lance.where import explain
from localembed.store.layout import Layout
from localembed.types.documents import READABLE
from localembed.types.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    import pyarrow as pa

    from localembed.types.arrays import Vector
    from localembed.types.tables import TableHead

_CHUNK_COLUMNS = [
    "chunk_id", "root_id", "path_bytes", "start", "end", "start_line", "end_line",
    "heading", "text", "tokens", "mtime_ns", "content_hash",
]  # fmt: skip
_IDS = "chunk_id", "doc_id"
_MAX_INDEX_BYTES = 1 << 30
_YES = True


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows that match a condition."""

    condition: str
    """The condition in SQL."""
    rows: int


class ChunkReader:
    """A table, frozen at one version; safe for several threads."""

    def __init__(
        self, layout: Layout, name: str, entry: TableHead, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        """Open a table at the version that its entry in head.json names.

        Raises:
            VersionGoneError: the version no longer exists; read head.json again.
        """
        self._folder: Path = layout.table(name)
        self._index = entry.vector_index
        self._unreadable = UNREADABLE if entry.unreadable else None
        self._limits = limits
        try:
            self._handle: Any = _open(self._folder, entry)
        except StorageError:
            # Lance reads the newest version before the pinned one; a power cut may have damaged it.
            newer = _newer_than(self._folder, entry.lance_version)
            if not newer:
                raise
            place = Path(mkdtemp(prefix="localembed-"))
            finalize(self, rmtree, place, ignore_errors=True)
            self._folder = linked_view(self._folder, newer, place)
            self._handle = _open(self._folder, entry)
        self._vector_queries = 0
        self._in_memory: NearestInMemory | None = None
        self._counting = Lock()

    @property
    def vector_bytes(self) -> int:
        """Bytes of the vectors that are kept in memory."""
        return self._in_memory.bytes if self._in_memory is not None else 0

    def select(self, condition: str) -> Selection:
        """Count the rows that match a condition.

        Raises:
            UsageError: Lance cannot parse the condition, or cannot evaluate it for a row.
            VersionGoneError: the version no longer exists.
        """
        with lance_errors(self._folder):
            try:
                return Selection(condition, int(self._handle.count_rows(condition)))
            except (ValueError, RuntimeError) as error:
                # A ValueError is about the condition, a RuntimeError about the files, unless it
                # says that the condition failed on a row, such as a division by zero.
                if isinstance(error, RuntimeError) and FILTER_FAILED_ON_A_ROW not in str(error):
                    raise
                message = f"The filter is not understood: {explain(first_sentence(error))}."
                raise UsageError(message) from error

    def find(self, where: str) -> list[StoredChunk]:
        """Return the chunks that match a condition, ordered by document and position."""
        with lance_errors(self._folder):
            rows = self._handle.search().where(where).select(_CHUNK_COLUMNS).to_arrow()
        return _chunks(
            rows.sort_by(
                [("root_id", "ascending"), ("path_bytes", "ascending"), ("start", "ascending")]
            )
        )

    def fetch(self, found: Sequence[Candidate]) -> list[StoredChunk]:
        """Return the chunks of these candidates, in the same order."""
        read = [candidate.chunk for candidate in found if candidate.chunk is not None]
        if len(read) == len(found):
            return read
        row_ids = [candidate.row_id for candidate in found]
        with lance_errors(self._folder):
            rows = (
                self._handle.take_row_ids(row_ids).select(_CHUNK_COLUMNS).with_row_id().to_arrow()
            )
        places = {row_id: place for place, row_id in enumerate(rows["_rowid"].to_pylist())}
        return _chunks(rows.take([places[row_id] for row_id in row_ids]))

    def contents(self) -> dict[tuple[str, bytes], frozenset[bytes]]:
        """Return, for every document, (root_id, path) → the ids of its chunks."""
        columns = ["root_id", "path_bytes", "chunk_id"]
        found: dict[tuple[str, bytes], set[bytes]] = {}
        with lance_errors(self._folder):
            for batch in self._handle.search().select(columns).to_batches():
                for root_id, path, chunk_id in zip(
                    *(batch[name].to_pylist() for name in columns), strict=True
                ):
                    found.setdefault((root_id, path), set()).add(chunk_id)
        return {document: frozenset(chunk_ids) for document, chunk_ids in found.items()}

    def mean_vector(self, where: str) -> Vector | None:
        """Return the mean vector of the rows that match a condition, None if no row has one."""
        with lance_errors(self._folder):
            condition = f"({where}) AND vector IS NOT NULL"
            if self._unreadable:
                condition += f" AND NOT ({self._unreadable})"
            rows = self._handle.search().where(condition).select(["vector"]).to_arrow()
        if not rows.num_rows:
            return None
        column = rows["vector"].combine_chunks()
        flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
        mean: Vector = flat.reshape(rows.num_rows, -1).mean(axis=0)
        return mean

    def by_vector(
        self, query: Vector, limit: int, among: Selection | None = None
    ) -> list[Candidate]:
        """Return the chunks whose vectors are most similar, best first.

        Chunks that the model cannot read are not among them: the vectors of all unknown tokens are
        equal. All others are compared, unless the table is so large that it has a vector index. A
        second query without a condition suggests many: from then on, vectors that fit stay in
        memory.

        Args:
            query: a vector in the table's space, (dim,) float32.
            limit: the number of chunks.
            among: restricts the search to these rows.
        """
        if among is None:
            with self._counting:
                self._vector_queries += 1
                if self._vector_queries == 2:
                    self._in_memory = self._load_vectors(len(query))
            if self._in_memory is not None:
                return self._in_memory.search(query, limit)
        with lance_errors(self._folder):
            search = self._search_vectors(query, limit, among)
            search = search.select([*_IDS, "vector", "_distance"]).with_row_id(_YES)
            rows = search.to_arrow()
        found = _candidates(rows, query, [0.0] * rows.num_rows)
        return sorted(found, key=lambda candidate: -candidate.similarity)

    def _search_vectors(self, query: Vector, limit: int, among: Selection | None) -> Any:  # noqa: ANN401
        if self._index is None or (
            among is not None and among.rows <= self._limits.exact_filtered_rows
        ):
            search = search_all(self._handle, query, limit)
        else:
            search = search_index(self._handle, query, limit, self._index)
        conditions = [among.condition] if among else []
        if self._unreadable:
            conditions.append(f"NOT ({self._unreadable})")
        joined = " AND ".join(f"({condition})" for condition in conditions)
        return narrowed(search, joined) if joined else search

    def _load_vectors(self, dim: int) -> NearestInMemory | None:
        with lance_errors(self._folder):
            rows = int(self._handle.count_rows())
            if rows * dim * 4 > self._limits.memory_index_bytes:
                return None
            return NearestInMemory(self._handle, rows, dim, self._unreadable)

    def by_text(
        self, query: str, limit: int, vector: Vector | None, among: Selection | None = None
    ) -> list[Candidate]:
        """Return the chunks that match words of the query, best first.

        Args:
            query: words; quotes and operators have no special meaning.
            limit: the number of chunks.
            vector: the query's vector: the candidates get their exact similarity to it, 0 if the
                model cannot read them. Without one, they get their chunks instead.
            among: restricts the search to these rows.
        """
        from lancedb.query import MatchQuery

        if not self._has_text_index:
            return []
        in_memory = self._in_memory  # another thread may load them meanwhile
        if vector is None:
            columns = ["doc_id", *_CHUNK_COLUMNS]
        else:
            columns = [*_IDS, "vector"] if in_memory is None else []
            if columns and self._unreadable:
                columns.append("readable")
        with lance_errors(self._folder):
            search = self._handle.search(MatchQuery(query, "search_text"), query_type="fts")
            search = search.limit(limit).select([*columns, "_score"]).with_row_id(_YES)
            rows = (search.where(among.condition) if among else search).to_arrow()
        scores = rows["_score"].to_pylist()
        if vector is not None and in_memory is not None:
            return in_memory.compare(vector, rows["_rowid"].to_pylist(), scores)
        return _candidates(rows, vector, scores)

    @cached_property
    def _has_text_index(self) -> bool:
        with lance_errors(self._folder):
            return any("search_text" in index.columns for index in self._handle.list_indices())


def _open(folder: Path, entry: TableHead) -> Any:  # noqa: ANN401 - lancedb
    with lance_errors(folder):
        handle = open_table(folder, entry.lance_version, _index_bytes(entry), CACHE_BYTES)
        found = table_uuid(handle)
    check_uuid(folder, found, {entry.uuid})
    return handle


def _newer_than(folder: Path, version: int) -> set[str]:
    """Return the names of the files that make newer versions."""
    newer = (manifest_path(folder, v) for v in versions_on_disk(folder) if v > version)
    return {path.relative_to(folder).as_posix() for path in newer}


def _index_bytes(entry: TableHead) -> int:
    """Return how much of a table's indexes to keep in memory: all of a vector index, if it fits.

    It takes little more than four bits per dimension of a vector. What does not fit is read from
    disk again, which takes several times as long as the search.
    """
    if entry.vector_index is None:
        return CACHE_BYTES
    return CACHE_BYTES + min(_MAX_INDEX_BYTES, entry.chunks * entry.dim * 3 // 4)


def _candidates(
    rows: pa.Table, query: Vector | None, text_scores: Sequence[float]
) -> list[Candidate]:
    """Return candidates with their cosines to the query vector; without it, with their chunks."""
    if not rows.num_rows:
        return []
    chunks: list[StoredChunk] | list[None] = [None] * rows.num_rows
    similar = [0.0] * rows.num_rows
    if query is None:
        chunks = _chunks(rows)
    else:
        # Vectors stay in Arrow: converting them to lists would take longer than the search.
        found = similarities(rows["vector"].combine_chunks(), query)
        if "readable" in rows.column_names:
            found[rows["readable"].to_numpy() < READABLE] = 0
        similar = found.tolist()
    ids = (rows[name].to_pylist() for name in ("_rowid", *_IDS))
    return list(map(Candidate, *ids, similar, text_scores, chunks))


def _chunks(rows: pa.Table) -> list[StoredChunk]:
    plain = rows.select(_CHUNK_COLUMNS).to_pylist()
    return [StoredChunk(path=row.pop("path_bytes"), **row) for row in plain]
