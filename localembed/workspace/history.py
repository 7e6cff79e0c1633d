"""Versions that earlier runs left: list, tag, compare, restore and garbage-collect them."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping

from localembed.errors import StorageError
from localembed.pipeline.counters import RunCounters
from localembed.pipeline.garbage import clean_up, drop_table, publish_newest
from localembed.pipeline.run import restore
from localembed.search import changes_between
from localembed.store import heartbeat
from localembed.store.crash_recovery import tables_on_disk
from localembed.store.fsync import FsyncTracker
from localembed.store.head import facts_of, read_head
from localembed.store.lance.disk_names import newest_version
from localembed.store.layout import Layout
from localembed.store.lock import writer_lock
from localembed.store.manifest import Manifest
from localembed.store.versions import aged_out, find_version, read_versions, tag, to_keep
from localembed.types.runs import RunReport
from localembed.types.tables import Changes, Garbage, TableHead, Version
from localembed.workspace.value_checks import check_kind, check_number

_MAX_KEEP = 2**31 - 1


class History:
    """The versions of a workspace."""

    def __init__(self, layout: Layout, keep: int, roots: Mapping[str, bytes]) -> None:
        """Set up the history; nothing is read yet.

        Args:
            layout: the workspace.
            keep: number of versions that a clean-up keeps.
            roots: root_id → absolute path.
        """
        self._layout = layout
        self._keep = keep
        self._roots = roots

    def versions(self) -> list[Version]:
        """Return every version that can be restored, newest first."""
        return read_versions(self._layout)

    def compare(self, old: str, new: str) -> Changes:
        """Return the differences between two versions.

        Args:
            old: a run's number or a tag, as text.
            new: the same for the other version.

        Raises:
            UsageError: there is no such version.
        """
        check_kind("old", old, str, 'text such as "3"')
        check_kind("new", new, str, 'text such as "3"')
        versions = [find_version(self._layout, version) for version in (old, new)]
        return changes_between(self._layout, versions[0], versions[1], self._roots)

    def tag(self, name: str, version: str | None) -> None:
        """Tag a version, or delete a tag.

        Args:
            name: a letter, then letters, digits, dots, dashes or _.
            version: a run's number or a tag; None deletes the tag.

        Raises:
            UsageError: the name is not valid, or there is no such version.
        """
        check_kind("name", name, str, "text")
        if version is not None:
            check_kind("version", version, str, 'text such as "3"')
        with writer_lock(self._layout):
            run = find_version(self._layout, version).run if version is not None else None
            tag(self._layout, name, run)

    def restore(self, version: str) -> RunReport:
        """Restore an older version as a new run, which can be undone like any other.

        Args:
            version: a run's number or a tag.

        Raises:
            UsageError: there is no such version.
        """
        check_kind("version", version, str, 'text such as "3"')
        with writer_lock(self._layout):
            found = find_version(self._layout, version)
            facts = facts_of(found.table, found.entry)
            return restore(self._layout, facts, found.entry, self._keep)

    def garbage(self, keep: int) -> Garbage:
        """Return what `collect_garbage` would delete.

        Args:
            keep: number of newest versions to keep; tagged ones and those that are searched are
                kept as well.

        Raises:
            UsageError: `keep` is no whole number from 0.
        """
        check_number("keep", keep, 0, _MAX_KEEP)
        found, head = read_versions(self._layout), read_head(self._layout)
        tables = aged_out(found, head, keep)
        stay = [name for name in head.tables if name not in tables]
        kept = {run for name in stay for run in to_keep(found, name, keep)}
        return Garbage(
            runs=tuple(sorted(version.run for version in found if version.run not in kept)),
            tables=tuple(tables),
            models=tuple(head.tables[name].model for name in tables),
        )

    def collect_garbage(self, keep: int) -> int:
        """Delete what neither the newest versions nor tagged ones need; return the bytes freed.

        A replaced table is deleted as a whole together with the last of its versions.

        Args:
            keep: number of newest versions to keep; the one that is searched is always kept.

        Raises:
            UsageError: `keep` is no whole number from 0.
            StorageError: a run was cut off and has to be finished first.
        """
        check_number("keep", keep, 0, _MAX_KEEP)
        with writer_lock(self._layout):
            before = self._layout.disk_bytes()
            tables = read_head(self._layout).tables
            if any(self._is_unfinished(name, entry) for name, entry in tables.items()):
                message = "A run was cut off and has to be finished first. Run: localembed index"
                raise StorageError(message)
            dropped = self.garbage(keep).tables
            self._remove_unlisted(tables)
            for name in tables:
                if name in dropped:
                    drop_table(self._layout, name)
                else:
                    self._clean(name, keep)
            return max(0, before - self._layout.disk_bytes())

    def _is_unfinished(self, name: str, entry: TableHead) -> bool:
        return newest_version(self._layout.table(name)) != entry.lance_version

    def _remove_unlisted(self, tables: Collection[str]) -> None:
        """Remove tables that neither head.json nor the manifest lists: their removal was killed."""
        building = Manifest(self._layout).marks()
        for folder in tables_on_disk(self._layout):
            if folder.stem not in tables and folder.stem not in building:
                shutil.rmtree(folder)

    def _clean(self, name: str, keep: int) -> None:
        from localembed.store.lance.table import ChunkTable

        layout = self._layout
        table = ChunkTable.open(layout, name)
        synced = FsyncTracker(table.folder, Manifest(layout).stored_files(name))
        with heartbeat.at_risk(layout):
            table.maintenance.compact()
            publish_newest(layout, name, table, synced)
            clean_up(layout, name, table, synced, keep, RunCounters())
