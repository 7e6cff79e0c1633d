"""The write side of one Lance table of chunks."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from localembed.store.head import read_head
from localembed.store.lance.connection import (
    check_uuid,
    check_version,
    connect,
    lance_errors,
    open_table,
    table_uuid,
)
from localembed.store.lance.disk_names import newest_version
from localembed.store.lance.maintenance import Maintenance
from localembed.store.lance.rows import UNREADABLE, batch_rows, schema
from localembed.store.layout import Layout
from localembed.types.documents import EmbeddedBatch
from localembed.types.limits import DEFAULT_LIMITS, Limits
from localembed.types.tables import TableFacts

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt
    import pyarrow as pa

_MAX_IDS = 5_000
"""Maximum ids in one IN list: looking up 5,000 hashes in 1M rows takes 0.15-0.28 s."""
_NOW = datetime.timedelta(0)
_YES = True


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document whose rows are complete."""

    doc_id: bytes
    root_id: str
    path: bytes
    content_hash: bytes
    n_chunks: int
    run: int


class ChunkTable:
    """One table, at its newest version."""

    def __init__(self, handle: Any, folder: Path, limits: Limits) -> None:  # noqa: ANN401 - lancedb
        """Wrap an open lancedb table (see `open_or_create`)."""
        self._handle = handle
        self._folder = folder
        self.maintenance = Maintenance(handle, folder, limits)

    @classmethod
    def open_or_create(
        cls, layout: Layout, facts: TableFacts, limits: Limits = DEFAULT_LIMITS
    ) -> ChunkTable:
        """Open a table, making it if it is not there.

        Raises:
            StorageError: the disk is full or unwritable, or the table is damaged.
        """
        folder = layout.table(facts.name)
        with lance_errors(folder):
            if newest_version(folder):  # a table cut off before its first version has the folder
                return cls(open_table(folder), folder, limits)
            database = connect(layout.vectors)
            return cls(database.create_table(facts.name, schema=schema(facts)), folder, limits)

    @classmethod
    def open(cls, layout: Layout, name: str, limits: Limits = DEFAULT_LIMITS) -> ChunkTable:
        """Open a table that head.json names.

        Raises:
            StorageError: it does not exist, is damaged, or is another table.
        """
        folder = layout.table(name)
        with lance_errors(folder):
            table = cls(open_table(folder), folder, limits)
        entry = read_head(layout).tables.get(name)
        check_uuid(folder, table.uuid, {entry.uuid} if entry else ())
        return table

    @property
    def folder(self) -> Path:
        """The folder with its files."""
        return self._folder

    @property
    def version(self) -> int:
        """The newest Lance version."""
        return int(self._handle.version)

    @property
    def uuid(self) -> str:
        """The uuid that distinguishes it from another table of the same name."""
        return table_uuid(self._handle)

    def count(self) -> int:
        """Return the number of rows."""
        with lance_errors(self._folder):
            rows: int = self._handle.count_rows()
            return rows

    def count_unreadable(self) -> int:
        """Return the number of rows whose text the model does not know.

        A table of an older schema, which only deletes and restores still write, has none.
        """
        with lance_errors(self._folder):
            if "readable" not in self._handle.schema.names:
                return 0
            return int(self._handle.count_rows(UNREADABLE))

    def data_bytes(self) -> int:
        """Return the size of the files that hold its rows."""
        with lance_errors(self._folder):
            return int(self._handle.stats()["total_bytes"])

    def add(self, batch: EmbeddedBatch, run: int) -> int:
        """Append the rows of whole documents as one version; return how many."""
        rows = batch_rows(batch, run, self._handle.schema)
        with lance_errors(self._folder):
            self._handle.add(rows)
        return int(rows.num_rows)

    def delete(self, doc_ids: Iterable[bytes], *, except_run: int | None = None) -> int:
        """Delete documents' rows, except those of one run; return how many rows."""
        deleted = 0
        for ids in _slices(doc_ids):
            condition = f"doc_id IN ({_literals(ids)})"
            if except_run is not None:
                condition += f" AND run <> {except_run}"
            with lance_errors(self._folder):
                # A delete that matches nothing would still create a version.
                if self._handle.count_rows(condition):
                    deleted += int(self._handle.delete(condition).num_deleted_rows)
        return deleted

    def chunk_ids(self, doc_ids: Iterable[bytes]) -> set[bytes]:
        """Return the ids of all chunks of these documents."""
        return {
            value.as_py()
            for ids in _slices(doc_ids)
            for batch in self._scan(["chunk_id"], f"doc_id IN ({_literals(ids)})")
            for value in batch["chunk_id"]
        }

    def all_chunk_ids(self) -> set[bytes]:
        """Return the ids of all chunks."""
        return {value.as_py() for batch in self._scan(["chunk_id"]) for value in batch["chunk_id"]}

    def rows_of_run(self, doc_ids: Iterable[bytes], run: int) -> int:
        """Return how many rows of one run these documents have."""
        count = 0
        with lance_errors(self._folder):
            for ids in _slices(doc_ids):
                count += self._handle.count_rows(f"doc_id IN ({_literals(ids)}) AND run = {run}")
        return count

    def vectors(
        self, hashes: Collection[bytes], version: int | None = None
    ) -> dict[bytes, npt.NDArray[np.float32]]:
        """Return the stored vectors of chunk hashes; hashes without one are left out.

        Args:
            hashes: hashes of cleaned texts, 16 bytes each.
            version: read this version instead of the newest; one that is gone has no vectors.
        """
        found: dict[bytes, npt.NDArray[np.float32]] = {}
        for ids in _slices(hashes):
            condition = f"vector IS NOT NULL AND chunk_hash IN ({_literals(ids)})"
            for batch in self._scan(["chunk_hash", "vector"], condition, version):
                width = batch.schema.field("vector").type.list_size
                values = batch["vector"].flatten().to_numpy(zero_copy_only=False)
                matrix = values.reshape(-1, width).astype(np.float32)
                found.update(zip(batch["chunk_hash"].to_pylist(), matrix, strict=True))
        return found

    def documents(self) -> list[StoredDocument]:
        """Return every document whose rows are complete, of its newest complete run."""
        import pyarrow as pa

        columns = ["doc_id", "root_id", "path_bytes", "content_hash", "n_chunks", "run"]
        batches = list(self._scan(columns))
        if not batches:
            return []
        counted = pa.Table.from_batches(batches).group_by(columns).aggregate([([], "count_all")])
        newest: dict[bytes, StoredDocument] = {}
        for row in counted.to_pylist():
            if row.pop("count_all") != row["n_chunks"]:
                continue
            document = StoredDocument(path=row.pop("path_bytes"), **row)
            known = newest.get(document.doc_id)
            if known is None or known.run < document.run:
                newest[document.doc_id] = document
        return list(newest.values())

    def without_vector(self) -> set[bytes]:
        """Return the documents with at least one row without a vector."""
        found: set[bytes] = set()
        for batch in self._scan(["doc_id"], "vector IS NULL"):
            found.update(batch["doc_id"].to_pylist())
        return found

    def keep_only(self, documents: Sequence[StoredDocument]) -> int:
        """Delete every row that belongs to none of these (document, run) pairs; return how many."""
        wanted = {(document.doc_id, document.run) for document in documents}
        present: set[tuple[bytes, int]] = set()
        for batch in self._scan(["doc_id", "run"]):
            present.update(zip(batch["doc_id"].to_pylist(), batch["run"].to_pylist(), strict=True))
        by_run: dict[int, list[bytes]] = {}
        for doc_id, run in present - wanted:
            by_run.setdefault(run, []).append(doc_id)
        deleted = 0
        for run, doc_ids in by_run.items():
            for ids in _slices(doc_ids):
                condition = f"doc_id IN ({_literals(ids)}) AND run = {run}"
                with lance_errors(self._folder):
                    deleted += int(self._handle.delete(condition).num_deleted_rows)
        return deleted

    def protect(self, kept: Mapping[int, int]) -> None:
        """Protect these versions, and no others, from a clean-up: they become parents of branches.

        Args:
            kept: run → Lance version.
        """
        wanted = {f"v{run}": version for run, version in kept.items()}
        with lance_errors(self._folder):
            existing = {
                name: int(branch["parent_version"])
                for name, branch in self._handle.branches.list().items()
            }
            for name in existing:
                if wanted.get(name) != existing[name]:
                    self._handle.branches.delete(name)
            for name, version in wanted.items():
                if existing.get(name) != version:
                    self._handle.branches.create(name, None, version)

    def clean(self) -> None:
        """Delete all versions except the newest and those that branches protect."""
        with lance_errors(self._folder), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns of readers of older versions: see `protect`
            self._handle.optimize(cleanup_older_than=_NOW, delete_unverified=_YES)

    def restore(self, version: int) -> None:
        """Create a new version with the content of an older one."""
        check_version(self._folder, version)
        with lance_errors(self._folder):
            self._handle.restore(version)

    def _scan(
        self, columns: list[str], condition: str | None = None, version: int | None = None
    ) -> Iterator[pa.RecordBatch]:
        from localembed.store.lance.connection import VersionGoneError

        try:
            with lance_errors(self._folder):
                handle = self._handle
                if version is not None:
                    handle = open_table(self._folder, version)
                query = handle.search().select(columns)
                if condition:
                    query = query.where(condition)
                yield from query.to_batches()
        except VersionGoneError:
            if version is None:
                raise


def _slices(ids: Iterable[bytes]) -> Iterator[list[bytes]]:
    every = list(ids)
    for start in range(0, len(every), _MAX_IDS):
        yield every[start : start + _MAX_IDS]


def _literals(ids: Iterable[bytes]) -> str:
    return ",".join(f"X'{value.hex()}'" for value in ids)
