"""The commit order: durable Lance rows, then the manifest, then head.json.

`TableWriter` adds rows and makes them durable; only then does `Publisher` record them in the
manifest and show them to readers. After a kill anywhere in between, the next run finds rows that
the manifest does not have, and reconciles (see `recover`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING, Self

from localembed.errors import StorageError
from localembed.pipeline.counters import RunCounters
from localembed.pipeline.garbage import clean_up
from localembed.pipeline.ingest import Ingested
from localembed.pipeline.publish import Publisher
from localembed.pipeline.reuse import failed_passages
from localembed.store.fsync import FsyncTracker, SyncError
from localembed.store.layout import Layout
from localembed.store.manifest import TableMark
from localembed.types.documents import EmbeddedBatch, FileRecord
from localembed.types.events import Step
from localembed.types.limits import DEFAULT_LIMITS, Limits
from localembed.types.tables import TableFacts, TableHead

if TYPE_CHECKING:
    from localembed.pipeline.stored_vectors import StoredVectors
    from localembed.store.lance.table import ChunkTable
    from localembed.store.pending_vectors import PendingVectors
    from localembed.types.arrays import Vector, VectorMatrix


_MAX_REASONS = 20
"""Maximum reasons kept per document."""


class TableWriter:
    """Writes the rows of one run into its table, which the first write opens."""

    def __init__(
        self,
        layout: Layout,
        facts: TableFacts,
        publisher: Publisher,
        pending: PendingVectors,
        counters: RunCounters,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Set up the writer; nothing is opened or written yet.

        Args:
            layout: the workspace.
            facts: the table to write.
            publisher: records and publishes rows once they are durable.
            pending: vectors that are not in a table yet.
            counters: count rows, and announce each step.
            limits: thresholds of maintenance.
        """
        self._layout = layout
        self._facts = facts
        self._limits = limits
        self._publisher = publisher
        self._pending = pending
        self._counters = counters
        entry = publisher.entry
        self._vector_index = entry.vector_index if entry else None
        self._table: ChunkTable | None = None
        self._fsync: FsyncTracker
        self._stored: StoredVectors
        self._durable = 0
        """Newest durable Lance version."""
        self._opening = RLock()

    @property
    def run(self) -> int | None:
        """The run's number; None if nothing had to be written."""
        return self._publisher.number

    def begin(self) -> ChunkTable:
        """Claim the run's number and open the table, once; two threads may call this."""
        with self._opening:
            return self._table or self._begin()

    def _begin(self) -> ChunkTable:
        from localembed.pipeline.stored_vectors import StoredVectors
        from localembed.store.lance.connection import check_uuid
        from localembed.store.lance.table import ChunkTable

        self._publisher.claim()
        table = ChunkTable.open_or_create(self._layout, self._facts, self._limits)
        if table.version > 1:
            check_uuid(table.folder, table.uuid, self._publisher.known_uuids())
        self._use(table)
        # Earlier rows are durable: `recover` made sure of that.
        self._durable = table.version if table.version > 1 else 0
        head = self._publisher.head
        self._stored = StoredVectors(self._layout, self._facts, head, table, self._pending)
        return table

    def _use(self, table: ChunkTable) -> None:
        self._table = table
        self._fsync = FsyncTracker(table.folder, self._publisher.synced_files())

    def look_up(self, hashes: Collection[bytes]) -> dict[bytes, Vector]:
        """Return the vectors that are stored for chunk hashes in this space."""
        self.begin()
        return self._stored.look_up(hashes)

    def write(self, batch: EmbeddedBatch, entries: Sequence[Ingested]) -> None:
        """Commit whole documents, and the outcomes of all files of the window.

        Raises:
            StorageError: the disk is full, unwritable or failed; nothing of the batch is recorded.
        """
        table, publisher, counters = self.begin(), self._publisher, self._counters
        written = [entry for entry in entries if entry.outcome == "written"]
        replaced = [e.record.doc_id for e in written if e.previous and e.previous.n_chunks]
        replaced += [entry.record.doc_id for entry in entries if entry.leaves_rows]
        with counters.stage("write"):
            before = table.chunk_ids(replaced)
            rows = table.add(batch, publisher.run)
            hashes = [chunk.chunk_hash for chunk in batch.chunks]
            self._stored.wrote(hashes)
            counters.emit(Step.ADDED, rows)
            if replaced:
                table.delete(replaced, except_run=publisher.run)
                counters.emit(Step.DELETED, len(replaced))
            self._check_rows(table, [entry.record.doc_id for entry in written], rows)
            table.maintenance.ensure_text_index()
            self._commit(table, [self._stamped(entry, batch) for entry in entries])
            self._pending.written(hashes)
            removed = before - {chunk.chunk_id for chunk in batch.chunks}
            counters.add("removed_chunks", len(removed))
            if not publisher.has_complete_table():
                publisher.publish(table, self._vector_index, complete=False)

    def save(self, keys: Sequence[bytes], vectors: VectorMatrix, /) -> None:
        """Save vectors whose documents are not committed yet; they survive a power cut.

        Raises:
            StorageError: the disk is full or unwritable.
        """
        self._pending.save(keys, vectors)

    def note(self, entries: Sequence[Ingested]) -> None:
        """Commit the outcomes of files without rows to write; this alone does not make a run."""
        gone = [entry.record.doc_id for entry in entries if entry.leaves_rows]
        if gone:
            self._delete(gone)
        if entries:
            with self._counters.stage("write"):
                self._publisher.record([self._stamped(entry) for entry in entries])

    def remove(self, removed: Sequence[FileRecord]) -> None:
        """Delete documents whose files are gone from the table, then from the manifest."""
        doc_ids = [record.doc_id for record in removed]
        if any(record.n_chunks for record in removed):
            self._delete(doc_ids, forget=True)
        elif doc_ids:
            self._publisher.record(deletes=doc_ids)

    def expect_end(self) -> None:
        """Prepare for the end: all files are read, so a core is idle."""
        if self._table is not None:
            self._table.maintenance.prestart()

    def finish(
        self, *, complete: bool, default: bool, keep: int, drop_pending: bool = False
    ) -> None:
        """Update the indexes and publish the run, if it wrote anything.

        Args:
            complete: whether the table now covers all roots.
            default: whether readers are switched to it.
            keep: number of versions that a clean-up keeps.
            drop_pending: whether no document needs the vectors that no table has.
        """
        if self._table is not None or self._publisher.has_unpublished(complete=complete):
            self._finish(complete=complete, default=default, keep=keep)
        if drop_pending:
            self._pending.clear()

    def _finish(self, *, complete: bool, default: bool, keep: int) -> None:
        publisher, counters = self._publisher, self._counters
        table = self.begin()
        with counters.stage("index"):
            result = table.maintenance.run(self._vector_index)
            self._vector_index = result.vector_index
            compacted = "compact" in result.done
            if compacted:
                counters.emit(Step.COMPACTED, table.version)
            if result.done:
                self._commit(table)
        with counters.stage("write"):
            if table.version == 1:  # created, and still empty
                self._commit(table)
            served = complete or not publisher.has_complete_table()
            index, default = self._vector_index, default and served
            publisher.publish(table, index, complete=complete, default=default)
            if compacted:
                clean_up(self._layout, self._facts.name, table, self._fsync, keep, counters)
                self._durable = table.version
        counters.emit(Step.FINISHED, publisher.run)

    def restore(self, version: TableHead) -> None:
        """Make an older version of the table the newest.

        The manifest is reconciled with its rows, as after a kill.
        """
        from localembed.pipeline.recover import recover
        from localembed.store.lance.table import ChunkTable

        table = self.begin()
        with self._counters.stage("write"):
            before = table.all_chunk_ids()
            table.restore(version.lance_version)
            self._counters.emit(Step.RESTORED, table.version)
            records = recover(self._layout, self._facts, self._counters)
            table = ChunkTable.open(self._layout, self._facts.name, self._limits)
            self._use(table)
            self._durable = table.version
            self._counters.add("removed_chunks", len(before - table.all_chunk_ids()))
        self._publisher.reset(records)
        self._vector_index = version.vector_index

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, _kind: object, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """End the run, whether it succeeded or not."""
        if self._table is not None:
            self._table.maintenance.close()
        self._publisher.end(self._durable, sync_failed=isinstance(error, SyncError))

    def _stamped(self, entry: Ingested, batch: EmbeddedBatch | None = None) -> FileRecord:
        """Return the record with the run's number, and with the reasons of failed passages."""
        if not entry.chunked:
            return entry.record
        record = replace(entry.record, run=self._publisher.run)
        reasons = failed_passages(entry.chunked, batch.failures) if batch else []
        if reasons:
            text = "\n".join(reasons[:_MAX_REASONS])
            record = replace(record, state="partial", reason=text)
        return record

    def _check_rows(self, table: ChunkTable, doc_ids: Sequence[bytes], expected: int) -> None:
        found = table.rows_of_run(doc_ids, self._publisher.run)
        if found != expected:
            message = (
                f"{table.folder} holds {found} rows where {expected} were written. Run: "
                "localembed index"
            )
            raise StorageError(message)

    def _delete(self, doc_ids: Sequence[bytes], *, forget: bool = False) -> None:
        """Delete documents' rows, then their records if `forget`."""
        table = self.begin()
        with self._counters.stage("write"):
            self._counters.add("removed_chunks", table.delete(doc_ids))
            self._counters.emit(Step.DELETED, len(doc_ids))
            self._commit(table, deletes=doc_ids if forget else ())

    def _commit(
        self,
        table: ChunkTable,
        records: Sequence[FileRecord] = (),
        deletes: Sequence[bytes] = (),
    ) -> None:
        """Make the rows durable, and only then record them in the manifest."""
        synced = self._fsync.sync()
        self._counters.emit(Step.SYNCED, table.version)
        mark = TableMark(table.uuid, table.version)
        self._publisher.record(records, deletes, mark=mark, synced=synced)
        self._durable = table.version
