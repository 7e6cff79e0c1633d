"""Before a run: bring the manifest in line with the Lance rows, whatever happened before."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from localembed.pipeline.counters import RunCounters
from localembed.pipeline.ingest import NO_STAT
from localembed.store import heartbeat, runs
from localembed.store.fsync import FsyncTracker, Synced, SyncError
from localembed.store.head import read_head
from localembed.store.lance.disk_names import newest_version
from localembed.store.layout import Layout
from localembed.store.manifest import Manifest, TableMark
from localembed.types.documents import FileRecord
from localembed.types.events import Step
from localembed.types.tables import TableFacts

if TYPE_CHECKING:
    from localembed.store.lance.table import StoredDocument


_REASON_LOST = "some lines could not be embedded; why was not kept"


def recover(layout: Layout, facts: TableFacts, counters: RunCounters) -> dict[bytes, FileRecord]:
    """Return what the manifest remembers of a table, after making it true.

    When nothing happened, file names alone show it and no store of vectors is opened. Otherwise
    the rows decide: of each document the highest run whose rows are complete stays.
    """
    manifest = Manifest(layout)
    records, mark = manifest.load(facts.name)
    newest = newest_version(layout.table(facts.name))
    entry = read_head(layout).tables.get(facts.name)
    swapped = mark is not None and entry is not None and entry.uuid != mark.uuid
    if mark is not None and mark.lance_version == newest and not swapped:
        return records
    if newest == 0:
        return _without_table(manifest, facts, records)
    return _reconcile(layout, facts, manifest, records, counters)


def _without_table(
    manifest: Manifest, facts: TableFacts, records: dict[bytes, FileRecord]
) -> dict[bytes, FileRecord]:
    """Forget documents whose rows are gone with their table, and its files.

    The next table has files of the same names, which nobody has made durable yet.
    """
    lost = [doc_id for doc_id, record in records.items() if record.n_chunks]
    files = tuple(manifest.stored_files(facts.name))
    if lost or files:
        gone = Synced(gone=files)
        manifest.commit(facts.name, deletes=lost, mark=TableMark("", 0), synced=gone)
    return {doc_id: record for doc_id, record in records.items() if not record.n_chunks}


def _reconcile(
    layout: Layout,
    facts: TableFacts,
    manifest: Manifest,
    records: dict[bytes, FileRecord],
    counters: RunCounters,
) -> dict[bytes, FileRecord]:
    from localembed.store.lance.table import ChunkTable

    table = ChunkTable.open_or_create(layout, facts)
    stored = table.documents()
    table.keep_only(stored)
    mark = manifest.marks().get(facts.name)
    noted = manifest.stored_files(facts.name)
    # Files of another table (a copy that was put back) are known by their names alone.
    known = noted if mark is None or mark.uuid == table.uuid else {}
    synced = _sync(layout, table.folder, known)
    gone = (*synced.gone, *(noted.keys() - known.keys()))
    true = {document.doc_id: _record(document, records) for document in stored}
    for doc_id in table.without_vector() & true.keys():
        if true[doc_id].state != "partial":
            true[doc_id] = replace(true[doc_id], state="partial", reason=_REASON_LOST)
    true |= {
        doc_id: record
        for doc_id, record in records.items()
        if doc_id not in true and not record.n_chunks
    }
    manifest.commit(
        facts.name,
        upserts=list(true.values()),
        deletes=[doc_id for doc_id in records if doc_id not in true],
        mark=TableMark(table.uuid, table.version),
        synced=Synced(synced.new, gone),
    )
    counters.emit(Step.RECONCILED, len(stored))
    return true


def _sync(layout: Layout, folder: Path, known: Collection[str]) -> Synced:
    """Make durable what a run that was cut off has left, or note down that the disk would not."""
    try:
        return FsyncTracker(folder, known).sync()
    except SyncError:
        heartbeat.end(layout, runs.newest_claimed(layout), durable=False, sync_failed=True)
        raise


def _record(document: StoredDocument, records: dict[bytes, FileRecord]) -> FileRecord:
    """Return what is known of a stored document; without a stat it is hashed again, no more."""
    known = records.get(document.doc_id)
    if known and (known.run, known.content_hash) == (document.run, document.content_hash):
        return known
    return FileRecord(
        doc_id=document.doc_id,
        root_id=document.root_id,
        path=document.path,
        stat=NO_STAT,
        observed_ns=0,
        content_hash=document.content_hash,
        n_chunks=document.n_chunks,
        run=document.run,
        state="indexed",
    )
