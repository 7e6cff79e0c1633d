"""Take damaged files out of a Lance table, and only the rows that they held.

Lance's errors name no rows, and it has no repair of its own. But a row id names its fragment, and a
fragment can be deleted without being read. A missing file is an error, where a changed one is
silently read as other data: so damaged files are removed first, then all rows that cannot be read.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from localembed.errors import WorkspaceError
from localembed.store.crash_recovery import drop_version
from localembed.store.lance import disk_names
from localembed.store.lance.connection import lance_errors, open_table
from localembed.store.lance.disk_names import newest_version, versions_on_disk
from localembed.store.lance.inspection import Inspection
from localembed.types.tables import TableHead


def drop_unreadable(folder: Path, damaged: Collection[str]) -> int:
    """Delete the fragments that can no longer be read; return how many.

    Args:
        folder: a table whose damaged files were removed.
        damaged: their names, relative to it.

    Raises:
        WorkspaceError: no version of the table can be opened.
    """
    deletions = disk_names.deletion_files(damaged)
    should_remove: set[int] = set()
    try:
        fragments = Inspection(folder).fragments()
    except WorkspaceError:
        # Without these not even a delete works; which rows they deleted is lost.
        for name in deletions:
            _delete_nothing(folder / name)
        should_remove = set(deletions.values())
        fragments = Inspection(folder).fragments()
    table = Inspection(folder)
    should_remove |= {number for number, row in fragments.items() if not table.can_read(row)}
    _delete_fragments(folder, should_remove & set(fragments))
    for name in deletions:
        (folder / name).unlink(missing_ok=True)
    return len(should_remove)


def drop_broken_indexes(folder: Path, damaged: Collection[str]) -> int:
    """Drop the indexes that lost a file, so that they are rebuilt; return how many."""
    lost = disk_names.index_uuids(damaged)
    broken = {index.column for index in Inspection(folder).indexes() if index.uuid in lost}
    with lance_errors(folder):
        table = open_table(folder)
        for index in table.list_indices():
            if index.columns[0] in broken:
                table.drop_index(index.name)
    return len(broken)


def drop_broken_versions(folder: Path, damaged: Collection[str]) -> set[int]:
    """Remove every version that lost a file, except the newest; return which."""
    newest = newest_version(folder)
    lost = disk_names.index_uuids(damaged)
    broken = {v for v in versions_on_disk(folder) - {newest} if not _is_whole(folder, v, lost)}
    for version in broken:
        drop_version(folder, version)
    return broken


def is_needed(folder: Path, gone: Collection[str], pinned: TableHead) -> bool:
    """Tell whether a version of a Lance table needs files that are missing.

    Args:
        folder: the table.
        gone: names of files, relative to it.
        pinned: the entry that readers open.
    """
    versions = versions_on_disk(folder)
    lost = disk_names.index_uuids(gone)
    whole = all(_is_whole(folder, version, lost) for version in versions)
    return pinned.lance_version not in versions or not whole


def _is_whole(folder: Path, version: int, lost: Collection[str]) -> bool:
    try:
        table = Inspection(folder, version)
        if any(index.uuid in lost for index in table.indexes()):
            return False
        return all(table.can_read(row) for row in table.fragments().values())
    except WorkspaceError:
        return False


def _delete_nothing(path: Path) -> None:
    """Write a deletion file that deletes no row."""
    import pyarrow as pa

    path.parent.mkdir(exist_ok=True)
    if path.suffix == disk_names.BITMAP_SUFFIX:
        path.write_bytes(disk_names.EMPTY_BITMAP)
        return
    shape = pa.schema([pa.field(disk_names.DELETION_COLUMN, pa.uint32(), nullable=False)])
    empty = pa.RecordBatch.from_arrays([pa.array([], pa.uint32())], schema=shape)
    with pa.ipc.new_file(str(path), shape) as file:
        file.write_batch(empty)


def _delete_fragments(folder: Path, numbers: Collection[int]) -> None:
    with lance_errors(folder):
        table = open_table(folder)
        for number in sorted(numbers):
            table.delete(disk_names.rows_of_fragment(number))
