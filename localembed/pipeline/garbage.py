"""Free what no kept version needs; readers and the next run are not affected."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from localembed.pipeline.counters import RunCounters
from localembed.store import runs
from localembed.store.fsync import FsyncTracker
from localembed.store.head import publish_head, read_head
from localembed.store.layout import Layout
from localembed.store.manifest import Manifest, TableMark
from localembed.store.versions import read_versions, to_keep
from localembed.types.events import Step

if TYPE_CHECKING:
    from localembed.store.lance.table import ChunkTable


def clean_up(
    layout: Layout,
    name: str,
    table: ChunkTable,
    synced: FsyncTracker,
    keep: int,
    counters: RunCounters,
) -> None:
    """Free what no kept version needs. The caller holds the writer lock.

    Args:
        layout: the workspace.
        name: name of the table in head.json.
        table: the table at its newest version, which head.json names.
        synced: tracker of its durable files.
        keep: number of newest versions to keep; tagged ones are kept as well.
        counters: announce the steps PROTECTED and CLEANED.
    """
    kept = to_keep(read_versions(layout), name, keep)
    table.protect(kept)
    # A branch that a power cut could still undo would not protect what is removed next.
    synced.sync()
    counters.emit(Step.PROTECTED, len(kept))
    table.clean()
    publish_newest(layout, name, table, synced)
    counters.emit(Step.CLEANED, len(kept))


def drop_table(layout: Layout, name: str) -> None:
    """Remove a table that is not the default one. The caller holds the writer lock."""
    Manifest(layout).forget(name)
    publish_head(layout, read_head(layout).without(name))
    layout.missing(name).unlink(missing_ok=True)
    shutil.rmtree(layout.table(name))


def publish_newest(layout: Layout, name: str, table: ChunkTable, synced: FsyncTracker) -> None:
    """Make the newest version durable, then record it in the manifest and publish it."""
    mark = TableMark(table.uuid, table.version)
    Manifest(layout).commit(name, synced=synced.sync(), mark=mark)
    head = read_head(layout)
    entry = replace(head.tables[name], lance_version=table.version, data_bytes=table.data_bytes())
    publish_head(layout, head.with_table(name, entry, default=False))
    runs.record_version(layout, entry.run, asdict(entry))
