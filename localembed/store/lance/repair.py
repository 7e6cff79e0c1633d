"""Take damaged files out of a Lance table, and with them no more rows than they held.

Lance names no rows in its errors and has no repair of its own. But a row id names its fragment, a
fragment can be deleted without being read, and a file that is gone is an error where a changed one
is silently other data: so damaged files go first, and whatever cannot be read then is deleted.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from localembed.errors import WorkspaceError
from localembed.store.crash_recovery import drop_version
from localembed.store.lance.connection import (
    connect,
    lance_errors,
    newest_version,
    versions_on_disk,
)
from localembed.store.lance.inspection import Inspection
from localembed.types.tables import TableHead

_DELETIONS, _INDEXES = "_deletions/", "_indices/"
_NO_ROWS = struct.pack("<II", 12346, 0)
"""A Roaring bitmap in which nothing is set: a deletion file that deletes nothing."""


def drop_unreadable(folder: Path, damaged: Collection[str]) -> int:
    """Delete the fragments that cannot be read any more; return how many.

    Args:
        folder: a table whose damaged files are gone.
        damaged: their names, relative to it.

    Raises:
        WorkspaceError: no version of the table can be opened.
    """
    deletions = [name for name in damaged if name.startswith(_DELETIONS)]
    should_remove: set[int] = set()
    try:
        fragments = Inspection(folder).fragments()
    except WorkspaceError:
        # Not even a delete works without these; nothing of what they held is known.
        for name in deletions:
            _delete_nothing(folder / name)
        should_remove = {int(PurePosixPath(name).name.split("-")[0]) for name in deletions}
        fragments = Inspection(folder).fragments()
    table = Inspection(folder)
    should_remove |= {number for number, row in fragments.items() if not table.can_read(row)}
    _delete_fragments(folder, should_remove & set(fragments))
    for name in deletions:
        (folder / name).unlink(missing_ok=True)
    return len(should_remove)


def drop_broken_indexes(folder: Path, damaged: Collection[str]) -> int:
    """Take away the indexes that lost a file, so that they are made anew; return how many."""
    lost = {PurePosixPath(name).parts[1] for name in damaged if name.startswith(_INDEXES)}
    broken = {index.column for index in Inspection(folder).indexes() if index.uuid in lost}
    with lance_errors(folder):
        table = connect(folder.parent).open_table(folder.stem)
        for index in table.list_indices():
            if index.columns[0] in broken:
                table.drop_index(index.name)
    return len(broken)


def drop_broken_versions(folder: Path, damaged: Collection[str]) -> set[int]:
    """Take away every version but the newest that lost a file; return which."""
    newest = newest_version(folder)
    lost = {PurePosixPath(name).parts[1] for name in damaged if name.startswith(_INDEXES)}
    broken = {v for v in versions_on_disk(folder) - {newest} if not _is_whole(folder, v, lost)}
    for version in broken:
        drop_version(folder, version)
    return broken


def is_needed(folder: Path, gone: Collection[str], pinned: TableHead) -> bool:
    """Tell whether a version of a Lance table cannot do without files that are gone.

    Args:
        folder: the table.
        gone: names of files, relative to it.
        pinned: what readers open.
    """
    versions = versions_on_disk(folder)
    lost = {PurePosixPath(name).parts[1] for name in gone if name.startswith(_INDEXES)}
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

    if path.suffix == ".bin":
        path.write_bytes(_NO_ROWS)
        return
    shape = pa.schema([pa.field("row_id", pa.uint32(), nullable=False)])
    empty = pa.RecordBatch.from_arrays([pa.array([], pa.uint32())], schema=shape)
    with pa.ipc.new_file(str(path), shape) as file:
        file.write_batch(empty)


def _delete_fragments(folder: Path, numbers: Collection[int]) -> None:
    with lance_errors(folder):
        table = connect(folder.parent).open_table(folder.stem)
        for number in sorted(numbers):
            table.delete(f"_rowid >= {number << 32} AND _rowid < {(number + 1) << 32}")
