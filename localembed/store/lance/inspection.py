"""Inspect every row of one version of a Lance table, to find damage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from localembed.store.lance.connection import lance_errors, open_table, table_uuid
from localembed.store.lance.disk_names import FRAGMENT_BITS

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class RowCensus:
    """Consistency of the rows of a version."""

    rows: int
    duplicates: int
    """Rows whose chunk id another row also has."""
    documents: frozenset[bytes]
    """Ids of the documents whose rows are complete."""
    incomplete: tuple[tuple[str, bytes], ...]
    """(root_id, path) of the documents with missing or surplus rows."""
    roots: Mapping[str, int]
    """root_id → number of documents."""


@dataclass(frozen=True, slots=True)
class VectorCensus:
    """Problems of the vectors of a version."""

    seen: int
    missing: int
    """Chunks that could not be embedded: only full text finds them."""
    unusable: int
    """Vectors that are not finite, or all zeros: no search would ever find them."""
    documents: frozenset[bytes] = frozenset()
    """Ids of the documents with unusable vectors."""


@dataclass(frozen=True, slots=True)
class IndexState:
    """One index of a table."""

    column: str
    uuid: str
    """The name of the folder that holds its files (see `disk_names.index_uuids`)."""
    outside: int
    """Rows that are not in the index."""


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A text and its stored vector."""

    text: str
    vector: npt.NDArray[np.float32]


class Inspection:
    """One version of a table, opened for inspection."""

    def __init__(self, folder: Path, version: int | None = None) -> None:
        """Open a table.

        Args:
            folder: the table.
            version: the newest if not given.

        Raises:
            WorkspaceError: it cannot be opened.
        """
        self._folder = folder
        with lance_errors(folder):
            self._handle: Any = open_table(folder, version)

    @property
    def uuid(self) -> str:
        """The uuid that distinguishes it from another table of the same name."""
        with lance_errors(self._folder):
            return table_uuid(self._handle)

    def count(self) -> int:
        """Return the number of rows."""
        with lance_errors(self._folder):
            return int(self._handle.count_rows())

    def rows(self) -> RowCensus:
        """Check that every document has all its rows.

        Raises:
            WorkspaceError: a file of the table is missing or damaged.
        """
        import pyarrow as pa

        columns = ["chunk_id", "doc_id", "root_id", "path_bytes", "n_chunks"]
        batches = list(self._scan(columns))
        if not batches:
            return RowCensus(0, 0, frozenset(), (), {})
        table = pa.Table.from_batches(batches)
        distinct = len(table["chunk_id"].combine_chunks().unique())
        counted = table.group_by(columns[1:]).aggregate([([], "count_all")]).to_pylist()
        complete = {row["doc_id"] for row in counted if row["count_all"] == row["n_chunks"]}
        incomplete = {
            (row["root_id"], row["path_bytes"]) for row in counted if row["doc_id"] not in complete
        }
        return RowCensus(
            table.num_rows,
            table.num_rows - distinct,
            frozenset(complete),
            tuple(sorted(incomplete)),
            Counter(row["root_id"] for row in counted),
        )

    def vectors(self, most: int | None = None) -> VectorCensus:
        """Check vectors: all of them, or at most `most`, spread evenly over the table.

        Raises:
            WorkspaceError: a file of the table is missing or damaged.
        """
        seen = missing = unusable = 0
        documents: set[bytes] = set()
        columns = ["doc_id", "vector"]
        for batch in self._scan(columns) if most is None else self._sample(columns, most):
            column = batch["vector"]
            present = column.is_valid()
            values = column.drop_null().flatten().to_numpy(zero_copy_only=False)
            matrix = values.reshape(-1, column.type.list_size)
            bad = ~(np.isfinite(matrix).all(axis=1) & matrix.any(axis=1))
            seen += len(column)
            missing += column.null_count
            unusable += int(bad.sum())
            documents.update(batch["doc_id"].filter(present).filter(bad).to_pylist())
        return VectorCensus(seen, missing, unusable, frozenset(documents))

    def chunks(self, most: int) -> list[StoredChunk]:
        """Return at most `most` chunks with vectors, spread evenly over the table.

        Raises:
            WorkspaceError: a file of the table is missing or damaged.
        """
        found = []
        for batch in self._sample(["text", "vector"], most):
            for text, vector in zip(batch["text"].to_pylist(), batch["vector"], strict=True):
                if vector.is_valid:
                    values = np.array(vector.values.to_numpy(zero_copy_only=False), np.float32)
                    found.append(StoredChunk(text, values))
        return found

    def indexes(self) -> list[IndexState]:
        """Return the indexes of the table."""
        with lance_errors(self._folder):
            return [
                IndexState(
                    column=str(index.columns[0]),
                    uuid=str(index.index_uuid),
                    outside=int(self._handle.index_stats(index.name).num_unindexed_rows),
                )
                for index in self._handle.list_indices()
            ]

    def find(self, word: str) -> None:
        """Query the full-text index.

        Raises:
            WorkspaceError: a file of it is missing or damaged.
        """
        with lance_errors(self._folder):
            self._handle.search(word, query_type="fts").select(["chunk_id", "_score"]).limit(
                1
            ).to_arrow()

    def fragments(self) -> dict[int, int]:
        """Return fragment → one of its row ids; this reads deletion files, but no rows.

        Raises:
            WorkspaceError: a deletion file is missing or damaged.
        """
        ids = self._row_ids()
        numbers, first = np.unique(ids >> FRAGMENT_BITS, return_index=True)
        return {int(number): int(ids[at]) for number, at in zip(numbers, first, strict=True)}

    def can_read(self, row_id: int) -> bool:
        """Tell whether a row can be read."""
        try:
            self._handle.take_row_ids([row_id]).select(["run"]).to_arrow()
        except (RuntimeError, ValueError, OSError):
            return False
        return True

    def _sample(self, columns: list[str], most: int) -> Iterator[pa.RecordBatch]:
        ids = self._row_ids()
        if len(ids):
            chosen = ids[np.unique(np.linspace(0, len(ids) - 1, most).astype(int))]
            with lance_errors(self._folder):
                taken = self._handle.take_row_ids(chosen.tolist()).select(columns).to_arrow()
            yield from taken.to_batches()

    def _row_ids(self) -> npt.NDArray[np.uint64]:
        found = [batch["_rowid"].to_numpy() for batch in self._scan(["_rowid"], ids=True)]
        return np.concatenate(found) if found else np.zeros(0, np.uint64)

    def _scan(self, columns: list[str], *, ids: bool = False) -> Iterator[pa.RecordBatch]:
        with lance_errors(self._folder):
            yield from self._handle.search().with_row_id(ids).select(columns).to_batches()
