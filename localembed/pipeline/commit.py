"""The commit order: Lance, made durable, then the manifest, then head.json.

Lance is the truth and the manifest a cache of it, so the manifest never in_flight a document whose
rows are missing; what readers see changes last. Killed anywhere in between, the next run finds
rows that the manifest does not know of, and reconciles (see `recover`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from threading import RLock
from types import TracebackType
from typing import TYPE_CHECKING, Self

from localembed.errors import StorageError
from localembed.pipeline.counters import RunCounters
from localembed.pipeline.garbage import clean_up
from localembed.pipeline.ingest import Ingested
from localembed.pipeline.reuse import failed_passages
from localembed.store import heartbeat, runs
from localembed.store.failures import Failures
from localembed.store.fsync import FsyncTracker, SyncError
from localembed.store.head import Head, publish_head, read_head
from localembed.store.lance.connection import newest_version
from localembed.store.layout import Layout
from localembed.store.manifest import Manifest, TableMark
from localembed.types.documents import EmbeddedBatch, FileRecord
from localembed.types.runs import Event
from localembed.types.tables import TableFacts, TableHead

if TYPE_CHECKING:
    from localembed.pipeline.stored_vectors import StoredVectors
    from localembed.store.lance.table import ChunkTable
    from localembed.types.arrays import Vector, VectorMatrix


_MAX_REASONS = 20
"""That are kept of one document."""


class Committer:
    """Writes one run. It in_flight its number and opens the table with the first thing to write."""

    def __init__(
        self,
        layout: Layout,
        facts: TableFacts,
        records: Mapping[bytes, FileRecord],
        counters: RunCounters,
        on_event: Event,
    ) -> None:
        """Remember what the run needs; nothing is opened or written yet."""
        self._layout = layout
        self._facts = facts
        self._manifest = Manifest(layout)
        self._head: Head = read_head(layout)
        self._entry = self._head.tables.get(facts.name)
        self._vector_index = self._entry.vector_index if self._entry else None
        self._records = records
        self._documents = sum(1 for record in records.values() if record.n_chunks)
        self._failures = Failures(layout, facts.name, records)
        self._counters = counters
        self._on_event = on_event
        self._table: ChunkTable | None = None
        self._synced: FsyncTracker
        self._durable = 0
        """The newest Lance version that is safely on disk."""
        self._started = ""
        self._opening = RLock()
        self._stored: StoredVectors
        self.run: int | None = None

    def begin(self) -> ChunkTable:
        """Claim the run's number and open the table, once; two threads may ask for it."""
        with self._opening:
            return self._table or self._begin()

    def _begin(self) -> ChunkTable:
        from localembed.pipeline.stored_vectors import StoredVectors
        from localembed.store.lance.table import ChunkTable

        self.run = 1 + max(
            runs.newest_claimed(self._layout),
            *(entry.run for entry in self._head.tables.values()),
            *(record.run for record in self._records.values()),
            0,
        )
        self._started = runs.now()
        runs.claim_run(self._layout, self.run, self._facts.name)
        heartbeat.start(self._layout, self.run)
        self._on_event("claimed", self.run)
        self._update_heartbeat()
        self._table = ChunkTable.open_or_create(self._layout, self._facts)
        known = self._manifest.stored_files(self._facts.name)
        self._synced = FsyncTracker(self._table.folder, known)
        # What was there before was made durable by `recover` at the latest.
        self._durable = self._table.version if self._table.version > 1 else 0
        self._stored = StoredVectors(self._layout, self._facts, self._head, self._table)
        return self._table

    def look_up(self, hashes: Collection[bytes]) -> dict[bytes, Vector]:
        """Return the vectors that are stored for chunk hashes in this space."""
        self.begin()
        return self._stored.look_up(hashes)

    def save_answers(self, keys: Sequence[bytes], vectors: VectorMatrix) -> None:
        """Keep what a server answered: it is not to be paid for twice, whatever happens.

        Raises:
            StorageError: the disk is full or unwritable.
        """
        self._stored.save_answers(keys, vectors)

    def write(self, batch: EmbeddedBatch, entries: Sequence[Ingested]) -> None:
        """Commit whole documents, and with them what became of the files read on the way.

        Raises:
            StorageError: the disk is full, unwritable or broke; nothing of the batch is claimed.
        """
        table = self.begin()
        written = [entry for entry in entries if entry.outcome == "written"]
        replaced = [e.record.doc_id for e in written if e.previous and e.previous.n_chunks]
        replaced += [entry.record.doc_id for entry in entries if entry.leaves_rows]
        with self._counters.stage("write"):
            before = table.chunk_ids(replaced)
            rows = table.add(batch, self._run())
            hashes = [chunk.chunk_hash for chunk in batch.chunks]
            self._stored.wrote(hashes)
            self._on_event("added", rows)
            if replaced:
                table.delete(replaced, except_run=self._run())
                self._on_event("deleted", len(replaced))
            self._check_rows(table, [entry.record.doc_id for entry in written], rows)
            table.maintenance.ensure_text_index()
            self._settle(table, [self._stamped(entry, batch) for entry in entries], ())
            self._stored.recorded(hashes)
            self._counters.removed_chunks += len(
                before - {chunk.chunk_id for chunk in batch.chunks}
            )
            if not self._has_complete_table():
                self._publish(table, complete=False)
        self._update_heartbeat()

    def note(self, entries: Sequence[Ingested]) -> None:
        """Commit what became of files that have nothing to write; this alone is no run."""
        gone = [entry.record.doc_id for entry in entries if entry.leaves_rows]
        if gone:
            self._drop(gone, ())
        if entries:
            records = [self._stamped(entry) for entry in entries]
            with self._counters.stage("write"):
                self._manifest.commit(self._facts.name, upserts=records)
            self._count(records, ())

    def remove(self, removed: Sequence[FileRecord]) -> None:
        """Take documents that are gone out of the table, then out of the manifest."""
        doc_ids = [record.doc_id for record in removed]
        if any(record.n_chunks for record in removed):
            self._drop(doc_ids, doc_ids)
        elif doc_ids:
            self._manifest.commit(self._facts.name, deletes=doc_ids)

    def expect_end(self) -> None:
        """Prepare for the end: all files are read, and a core has nothing to do."""
        if self._table is not None:
            self._table.maintenance.prestart()

    def finish(self, *, complete: bool, default: bool, keep: int) -> None:
        """Refresh the indexes and show readers what the run made, if it made anything.

        Args:
            complete: whether the table now holds all there is.
            default: whether readers are switched to it.
            keep: how many versions can be gone back to after a clean-up.
        """
        if self._table is None and not self._unpublished(complete=complete):
            return
        table = self.begin()
        with self._counters.stage("index"):
            result = table.maintenance.run(self._vector_index)
            self._vector_index = result.vector_index
            compacted = "compact" in result.done
            if compacted:
                self._on_event("compacted", table.version)
            if result.done:
                self._settle(table, (), ())
        with self._counters.stage("write"):
            self._sync_mark(table)
            served = complete or not self._has_complete_table()
            self._publish(table, complete=complete, default=default and served)
            if compacted:
                name, layout = self._facts.name, self._layout
                clean_up(layout, name, table, self._synced, keep, self._on_event)
                self._durable = table.version
        self._stored.done()
        self._on_event("finished", self._run())

    def restore(self, version: TableHead) -> None:
        """Make the content of an older version of the table the newest.

        The manifest is brought in line with its rows, as after a kill.
        """
        from localembed.pipeline.recover import recover
        from localembed.store.lance.table import ChunkTable

        table = self.begin()
        with self._counters.stage("write"):
            before = table.all_chunk_ids()
            table.restore(version.lance_version)
            self._on_event("restored", table.version)
            self._records = recover(self._layout, self._facts, self._on_event)
            self._table = ChunkTable.open(self._layout, self._facts.name)
            self._durable = self._table.version
            known = self._manifest.stored_files(self._facts.name)
            self._synced = FsyncTracker(self._table.folder, known)
            self._counters.removed_chunks = len(before - self._table.all_chunk_ids())
        self._documents = sum(1 for record in self._records.values() if record.n_chunks)
        self._failures = Failures(self._layout, self._facts.name, self._records)
        self._vector_index = version.vector_index

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, _kind: object, error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Tell other commands that the run is over, however it ended."""
        if self._table is not None:
            self._table.maintenance.close()
        if self.run is not None:
            newest = newest_version(self._layout.table(self._facts.name))
            sync_failed = isinstance(error, SyncError)
            durable = newest == self._durable
            heartbeat.end(self._layout, self.run, durable=durable, sync_failed=sync_failed)

    def _unpublished(self, *, complete: bool) -> bool:
        """Tell whether an earlier run was cut off between its last batch and its publication."""
        if self._entry is None:
            return self._documents > 0
        newest = newest_version(self._layout.table(self._facts.name))
        return newest != self._entry.lance_version or (complete and not self._entry.complete)

    def _run(self) -> int:
        if self.run is None:
            message = "a run must begin before it writes"
            raise RuntimeError(message)
        return self.run

    def _stamped(self, entry: Ingested, batch: EmbeddedBatch | None = None) -> FileRecord:
        """Return the record with the number of the run whose rows it speaks of, and its faults."""
        if not entry.chunked:
            return entry.record
        record = replace(entry.record, run=self._run())
        reasons = failed_passages(entry.chunked, batch.failures) if batch else []
        if reasons:
            text = "\n".join(reasons[:_MAX_REASONS])
            record = replace(record, state="partial", reason=text)
        return record

    def _check_rows(self, table: ChunkTable, doc_ids: Sequence[bytes], expected: int) -> None:
        found = table.rows_of_run(doc_ids, self._run())
        if found != expected:
            message = (
                f"{table.folder} holds {found} rows where {expected} were written. Run: "
                "localembed index"
            )
            raise StorageError(message)

    def _drop(self, doc_ids: Sequence[bytes], forgotten: Sequence[bytes]) -> None:
        """Delete documents' rows, then their records."""
        table = self.begin()
        with self._counters.stage("write"):
            self._counters.removed_chunks += table.delete(doc_ids)
            self._on_event("deleted", len(doc_ids))
            self._settle(table, (), forgotten)

    def _settle(
        self, table: ChunkTable, records: Sequence[FileRecord], deletes: Sequence[bytes]
    ) -> None:
        """Make Lance durable, and only then let the manifest say so."""
        synced = self._synced.sync()
        self._on_event("synced", table.version)
        mark = TableMark(table.uuid, table.version)
        self._manifest.commit(
            self._facts.name, upserts=records, deletes=deletes, mark=mark, synced=synced
        )
        self._durable = table.version
        self._count(records, deletes)
        self._on_event("recorded", len(records))

    def _count(self, records: Sequence[FileRecord], deletes: Sequence[bytes]) -> None:
        """Keep the number of documents; a run names each at most once, so no more is kept."""
        before = [self._records.get(r.doc_id) for r in records]
        before += [self._records.get(doc_id) for doc_id in deletes]
        for record in records:
            self._failures.note(record)
        for doc_id in deletes:
            self._failures.forget(doc_id)
        self._documents += sum(1 for record in records if record.n_chunks)
        self._documents -= sum(1 for record in before if record and record.n_chunks)

    def _sync_mark(self, table: ChunkTable) -> None:
        """Record the version of a table that was made and then stayed empty."""
        if table.version == 1:
            self._settle(table, (), ())

    def _has_complete_table(self) -> bool:
        return any(entry.complete for entry in self._head.tables.values())

    def _publish(self, table: ChunkTable, *, complete: bool, default: bool = False) -> None:
        facts = self._facts
        entry = TableHead(
            uuid=table.uuid,
            lance_version=table.version,
            run=self._run(),
            complete=complete or (self._entry is not None and self._entry.complete),
            model=facts.model,
            space_id=facts.space_id,
            dim=facts.dim,
            max_tokens=facts.max_tokens,
            overlap_tokens=facts.overlap_tokens,
            vector_type=facts.vector_type,
            documents=self._documents,
            chunks=table.count(),
            data_bytes=table.data_bytes(),
            vector_index=self._vector_index,
        )
        self._failures.publish()
        self._head = self._head.with_table(facts.name, entry, default=default)
        publish_head(self._layout, self._head)
        runs.record_version(self._layout, self._run(), asdict(entry))
        self._on_event("published", entry.lance_version)

    def _update_heartbeat(self) -> None:
        counters = self._counters
        heartbeat.update(
            self._layout,
            run=self._run(),
            started=self._started,
            files=counters.added + counters.changed + counters.renamed,
            files_total=counters.to_read,
            chunks=counters.embedded + counters.reused,
        )
