"""What a run publishes: its number, the manifest, head.json, its record and its heartbeat.

Lance is the source of truth and the manifest a cache of it, so the manifest never lists a document
whose rows are missing, and head.json, which readers use, changes last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from localembed.pipeline.counters import RunCounters
from localembed.pipeline.progress import RunProgress
from localembed.pipeline.recover import known_uuids
from localembed.store import heartbeat, runs
from localembed.store.failures import Failures
from localembed.store.fsync import StoredFile, Synced
from localembed.store.head import Head, publish_head, read_head
from localembed.store.lance.disk_names import newest_version
from localembed.store.layout import Layout
from localembed.store.manifest import Manifest, TableMark
from localembed.types.documents import FileRecord
from localembed.types.events import RunEvent, Step
from localembed.types.tables import TableFacts, TableHead, VectorIndex

if TYPE_CHECKING:
    from localembed.store.lance.table import ChunkTable

_NOTHING_SYNCED = Synced()


class Publisher:
    """Publishes one run; it claims a number when there is something to write."""

    def __init__(
        self,
        layout: Layout,
        facts: TableFacts,
        records: Mapping[bytes, FileRecord],
        counters: RunCounters,
    ) -> None:
        """Set up the publisher; nothing is written yet."""
        self._layout = layout
        self._facts = facts
        self._manifest = Manifest(layout)
        self._counters = counters
        self._started = ""
        self._progress = RunProgress()
        counters.listen(self._follow)
        self.head: Head = read_head(layout)
        self.entry = self.head.tables.get(facts.name)
        """The table in head.json when the run began; None if it is new."""
        self.number: int | None = None
        """Number of the run; None until it is claimed."""
        self.reset(records)

    def reset(self, records: Mapping[bytes, FileRecord]) -> None:
        """Replace the records, after an older version was restored."""
        self._records = records
        self._documents = _by_root(records.values())
        self._failures = Failures(self._layout, self._facts.name, records)

    @property
    def run(self) -> int:
        """Number of the run.

        Raises:
            RuntimeError: no number was claimed.
        """
        if self.number is None:
            message = "a run must begin before it writes"
            raise RuntimeError(message)
        return self.number

    def claim(self) -> int:
        """Claim and return the run's number, before any of its rows exist.

        Raises:
            StorageError: the disk is full or unwritable.
        """
        number = 1 + max(
            runs.newest_claimed(self._layout),
            *(entry.run for entry in self.head.tables.values()),
            *(record.run for record in self._records.values()),
            0,
        )
        self.number, self._started = number, runs.now()
        runs.claim_run(self._layout, number, self._facts.name)
        heartbeat.start(self._layout, number)
        self._counters.emit(Step.CLAIMED, number)
        return number

    def synced_files(self) -> Mapping[str, StoredFile]:
        """Return the table's durable files, by name."""
        return self._manifest.stored_files(self._facts.name)

    def known_uuids(self) -> set[str]:
        """Return the uuids that the table may have."""
        return known_uuids(self.entry, self._manifest.marks().get(self._facts.name))

    def record(
        self,
        upserts: Sequence[FileRecord] = (),
        deletes: Sequence[bytes] = (),
        *,
        mark: TableMark | None = None,
        synced: Synced = _NOTHING_SYNCED,
    ) -> None:
        """Write records of documents into the manifest, in one transaction.

        Args:
            upserts: records of documents that were read.
            deletes: doc_ids to remove.
            mark: the version of the table that the records describe; it is durable.
            synced: the files of the table that became durable with it.
        """
        self._manifest.commit(
            self._facts.name, upserts=upserts, deletes=deletes, mark=mark, synced=synced
        )
        before = [self._records.get(record.doc_id) for record in upserts]
        before += [self._records.get(doc_id) for doc_id in deletes]
        for record in upserts:
            self._failures.note(record)
        for doc_id in deletes:
            self._failures.forget(doc_id)
        # A run records each document at most once.
        self._documents.update(_by_root(upserts))
        self._documents.subtract(_by_root(record for record in before if record))
        if mark is not None:
            self._counters.emit(Step.RECORDED, len(upserts))

    def has_complete_table(self) -> bool:
        """Tell whether any published table is complete."""
        return any(entry.complete for entry in self.head.tables.values())

    def has_unpublished(self, *, complete: bool) -> bool:
        """Tell whether an earlier run was cut off between its last batch and its publication.

        Args:
            complete: whether the table covers all roots after this run.
        """
        if self.entry is None:
            return self._documents.total() > 0
        newest = newest_version(self._layout.table(self._facts.name))
        return newest != self.entry.lance_version or (complete and not self.entry.complete)

    def publish(
        self,
        table: ChunkTable,
        vector_index: VectorIndex | None,
        *,
        complete: bool,
        default: bool = False,
    ) -> None:
        """Publish the newest version of the table, which is durable.

        Args:
            table: the table that was written.
            vector_index: measurements of its vector index.
            complete: whether the table covers all roots.
            default: whether readers are switched to it.
        """
        facts = self._facts
        entry = TableHead(
            uuid=table.uuid,
            lance_version=table.version,
            run=self.run,
            complete=complete or (self.entry is not None and self.entry.complete),
            model=facts.model,
            space_id=facts.space_id,
            dim=facts.dim,
            max_tokens=facts.max_tokens,
            overlap_tokens=facts.overlap_tokens,
            vector_type=facts.vector_type,
            documents=self._documents.total(),
            chunks=table.count(),
            unreadable=table.count_unreadable(),
            data_bytes=table.data_bytes(),
            vector_index=vector_index,
            roots=dict(+self._documents),
        )
        self._failures.publish()
        self.head = self.head.with_table(facts.name, entry, default=default)
        publish_head(self._layout, self.head)
        runs.record_version(self._layout, self.run, asdict(entry))
        self._counters.emit(Step.PUBLISHED, entry.lance_version)

    def _follow(self, event: RunEvent) -> None:
        """Write the run's progress into the heartbeat, at most once a second."""
        self._progress.take(event)
        if self.number is not None and self._progress.is_due():
            facts = self._progress.facts()
            heartbeat.update(self._layout, run=self.number, started=self._started, **facts)

    def end(self, durable_version: int, *, sync_failed: bool) -> None:
        """Write the end of the run into the heartbeat, whether it succeeded or not.

        Args:
            durable_version: the newest durable Lance version.
            sync_failed: whether an fsync failed.
        """
        if self.number is not None:
            durable = newest_version(self._layout.table(self._facts.name)) == durable_version
            heartbeat.end(self._layout, self.number, durable=durable, sync_failed=sync_failed)


def _by_root(records: Iterable[FileRecord]) -> Counter[str]:
    """Count the documents with rows by root_id."""
    return Counter(record.root_id for record in records if record.n_chunks)
