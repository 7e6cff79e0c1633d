"""Before a run: reconcile the manifest with the Lance rows, whatever happened before."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from localembed.pipeline.counters import RunCounters
from localembed.store import heartbeat, runs
from localembed.store.fsync import FsyncTracker, Synced, SyncError
from localembed.store.head import read_head
from localembed.store.lance.disk_names import newest_version
from localembed.store.layout import Layout
from localembed.store.manifest import Manifest, TableMark
from localembed.store.root_documents import record_of
from localembed.types.documents import FileRecord
from localembed.types.events import Step
from localembed.types.tables import TableFacts, TableHead

if TYPE_CHECKING:
    from localembed.store.lance.table import StoredDocument


_REASON_LOST = "some lines could not be embedded; the reasons were not kept"


def recover(layout: Layout, facts: TableFacts, counters: RunCounters) -> dict[bytes, FileRecord]:
    """Return the manifest's records of a table, after correcting them if needed.

    If nothing happened, file names alone show it, and the table is not opened. Otherwise the rows
    decide: the newest run whose rows of a document are complete is kept.
    """
    manifest = Manifest(layout)
    records, mark = manifest.load(facts.name)
    newest = newest_version(layout.table(facts.name))
    entry = read_head(layout).tables.get(facts.name)
    swapped = mark is not None and entry is not None and entry.uuid != mark.uuid
    known = known_uuids(entry, mark)
    current = mark is not None and mark.lance_version == newest and not swapped
    if current and not _contradicts(records, entry, newest):
        return records
    if newest == 0:
        return _without_table(manifest, facts, records, published=entry is not None)
    return _reconcile(layout, facts, manifest, records, counters, known)


def known_uuids(entry: TableHead | None, mark: TableMark | None) -> set[str]:
    """Return the uuids that a table may have, none if any will do.

    A lost table is built again under a new uuid, which the manifest has before head.json.
    """
    if mark is not None and not mark.uuid:
        return set()
    return {found.uuid for found in (entry, mark) if found is not None}


def _contradicts(records: dict[bytes, FileRecord], entry: TableHead | None, version: int) -> bool:
    """Tell whether the records cannot be those of the published version."""
    if entry is None or entry.lance_version != version:
        return False
    stored = [record.n_chunks for record in records.values() if record.n_chunks]
    return (len(stored), sum(stored)) != (entry.documents, entry.chunks)


def _without_table(
    manifest: Manifest, facts: TableFacts, records: dict[bytes, FileRecord], *, published: bool
) -> dict[bytes, FileRecord]:
    """Remove the records of a table that is gone: its documents and its durable files.

    The next table has files of the same names, which are not durable yet.
    """
    lost = [doc_id for doc_id, record in records.items() if record.n_chunks]
    files = tuple(manifest.stored_files(facts.name))
    if lost or files or published:
        gone = Synced(gone=files)
        manifest.commit(facts.name, deletes=lost, mark=TableMark("", 0), synced=gone)
    return {doc_id: record for doc_id, record in records.items() if not record.n_chunks}


def _reconcile(
    layout: Layout,
    facts: TableFacts,
    manifest: Manifest,
    records: dict[bytes, FileRecord],
    counters: RunCounters,
    known: Collection[str],
) -> dict[bytes, FileRecord]:
    from localembed.store.lance.connection import check_uuid
    from localembed.store.lance.table import ChunkTable

    table = ChunkTable.open_or_create(layout, facts)
    check_uuid(table.folder, table.uuid, known)
    stored = table.documents()
    table.keep_only(stored)
    mark = manifest.marks().get(facts.name)
    recorded = manifest.stored_files(facts.name)
    # Files of another table (a restored copy) have these names, but may not be durable.
    durable = recorded if mark is None or mark.uuid == table.uuid else {}
    synced = _sync(layout, table.folder, durable)
    gone = (*synced.gone, *(recorded.keys() - durable.keys()))
    actual = {document.doc_id: _record(document, records) for document in stored}
    for doc_id in table.without_vector() & actual.keys():
        if actual[doc_id].state != "partial":
            actual[doc_id] = replace(actual[doc_id], state="partial", reason=_REASON_LOST)
    actual |= {
        doc_id: record
        for doc_id, record in records.items()
        if doc_id not in actual and not record.n_chunks
    }
    manifest.commit(
        facts.name,
        upserts=list(actual.values()),
        deletes=[doc_id for doc_id in records if doc_id not in actual],
        mark=TableMark(table.uuid, table.version),
        synced=Synced(synced.new, gone),
    )
    counters.emit(Step.RECONCILED, len(stored))
    return actual


def _sync(layout: Layout, folder: Path, durable: Collection[str]) -> Synced:
    """Make the rows of an interrupted run durable, or record that an fsync failed."""
    try:
        return FsyncTracker(folder, durable).sync()
    except SyncError:
        heartbeat.end(layout, runs.newest_claimed(layout), durable=False, sync_failed=True)
        raise


def _record(document: StoredDocument, records: dict[bytes, FileRecord]) -> FileRecord:
    """Return the record of a stored document; one without a stat is only hashed again."""
    record = records.get(document.doc_id)
    if record and (record.run, record.content_hash) == (document.run, document.content_hash):
        return record
    return record_of(document)
