"""Free what belongs to no version that is kept; readers and the next run never notice."""

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
    """Free what belongs to no version that is kept. The caller holds the writer lock.

    Args:
        layout: the workspace.
        name: of the table, which head.json names.
        table: open at its newest version, which is the one that head.json pins.
        synced: its files, which are durable.
        keep: how many of the newest versions stay; tagged ones stay as well.
        counters: told of protected and cleaned.
    """
    kept = to_keep(read_versions(layout), name, keep)
    table.protect(kept)
    # A branch that a power cut takes away again would not protect what is removed now.
    synced.sync()
    counters.emit(Step.PROTECTED, len(kept))
    table.clean()
    publish_newest(layout, name, table, synced)
    counters.emit(Step.CLEANED, len(kept))


def drop_table(layout: Layout, name: str) -> None:
    """Remove a table that is not the default one. The caller holds the writer lock."""
    Manifest(layout).forget(name)
    publish_head(layout, read_head(layout).without(name))
    shutil.rmtree(layout.table(name))


def publish_newest(layout: Layout, name: str, table: ChunkTable, synced: FsyncTracker) -> None:
    """Let the manifest and readers go on from the newest version, once it is durable."""
    mark = TableMark(table.uuid, table.version)
    Manifest(layout).commit(name, synced=synced.sync(), mark=mark)
    head = read_head(layout)
    entry = replace(head.tables[name], lance_version=table.version, data_bytes=table.data_bytes())
    publish_head(layout, head.with_table(name, entry, default=False))
    runs.record_version(layout, entry.run, asdict(entry))
