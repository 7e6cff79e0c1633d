"""Find what is of the wrong kind in a workspace: folders in place of files, and the reverse.

A link counts as well; one that leads anywhere was refused before. Such a thing is damage like any
other: it is set aside, and what stood there is made again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from localembed.core.files import storage_error, sync_folder
from localembed.store.lance import disk_names
from localembed.store.layout import Layout


def misplaced(layout: Layout, *, deep: bool = False) -> list[Path]:
    """Return the paths that are of the wrong kind, outermost first.

    Args:
        layout: the workspace.
        deep: also look at each file of the tables.
    """
    found: list[Path] = []
    for path, is_folder in _expected(layout, deep=deep):
        if not any(above in (path, *path.parents) for above in found) and _is_wrong(
            path, is_folder=is_folder
        ):
            found.append(path)
    return found


def set_aside(layout: Layout, path: Path) -> Path:
    """Move a file or a folder aside for inspection; return its new path.

    Raises:
        OSError: it cannot be moved.
    """
    if _is_wrong(layout.damaged, is_folder=True):
        layout.damaged.replace(_free(layout.folder, "damaged.damaged"))
    layout.damaged.mkdir(mode=0o700, exist_ok=True)
    target = _free(layout.damaged, path.name)
    path.replace(target)
    sync_folder(path.parent)
    return target


def set_misplaced_aside(layout: Layout) -> list[Path]:
    """Set aside what is of the wrong kind, except inside tables. The caller holds the writer lock.

    Raises:
        StorageError: it cannot be moved.
    """
    return [_moved(layout, path) for path in misplaced(layout)]


def set_wrong_lock_aside(layout: Layout) -> None:
    """Set aside a writer lock that no process can hold.

    Raises:
        StorageError: it cannot be moved.
    """
    if _is_wrong(layout.lock, is_folder=False):
        _moved(layout, layout.lock)


def _moved(layout: Layout, path: Path) -> Path:
    try:
        if path == layout.damaged:
            return path.replace(_free(layout.folder, "damaged.damaged"))
        return set_aside(layout, path)
    except OSError as error:
        raise storage_error(path, error) from error


def _expected(layout: Layout, *, deep: bool) -> Iterator[tuple[Path, bool]]:
    """Yield the places of a workspace, and whether each is a folder."""
    folders = (layout.damaged, layout.runs, layout.pending, layout.vectors)
    wal = layout.manifest.with_name(f"{layout.manifest.name}.wal")
    files = (
        layout.head, layout.heartbeat, layout.lock, layout.manifest, wal, layout.calibrations,
    )  # fmt: skip
    yield from ((path, True) for path in folders)
    yield from ((path, False) for path in files)
    for pattern in ("failures-*.json", "missing-*.json", "runs/*.json", "pending/*.sqlite*"):
        yield from ((path, False) for path in _glob(layout.folder, pattern))
    for table in _glob(layout.vectors, f"*{disk_names.TABLE_SUFFIX}"):
        yield table, True
        yield from ((table / name, True) for name in disk_names.FOLDERS)
        if deep:
            for pattern in disk_names.FOLDER_PATTERNS:
                yield from ((path, True) for path in _glob(table, pattern))
            for path in _glob(table, "**/*"):
                if disk_names.is_file_name(path.name) or path.is_symlink():
                    yield path, False


def _glob(folder: Path, pattern: str) -> Iterable[Path]:
    try:
        return sorted(folder.glob(pattern))
    except (OSError, RuntimeError):  # a loop of links
        return ()


def _is_wrong(path: Path, *, is_folder: bool) -> bool:
    """Tell whether there is something at a path that cannot be what belongs there.

    No link does: one that leads nowhere may lead to a folder of another user in a moment.
    """
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return stat.S_ISLNK(mode) or stat.S_ISDIR(mode) != is_folder


def _free(folder: Path, name: str) -> Path:
    number = 1
    while os.path.lexists(target := folder / f"{number}-{name}"):
        number += 1
    return target
