"""Recover a workspace after a kill or a power cut, by file names alone.

This runs whenever the writer lock is taken, so no other code has to consider interrupted runs.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Collection
from pathlib import Path

from localembed.core.files import storage_error, sync_folder
from localembed.errors import StorageError
from localembed.store import heartbeat
from localembed.store.fsync import files_below
from localembed.store.head import read_head
from localembed.store.lance import disk_names
from localembed.store.layout import Layout, is_table_name
from localembed.store.misplaced import set_aside, set_misplaced_aside


def sweep(layout: Layout) -> None:
    """Recover a workspace if its last run did not finish, or something has the wrong kind.

    Raises:
        StorageError: the workspace cannot be read or written.
    """
    set_misplaced_aside(layout)
    last = heartbeat.last(layout)
    if last is None or (last.ended and last.durable):
        return
    folders = tables_on_disk(layout)
    try:
        for folder in folders:
            sweep_partial_files(folder)
            sweep_branches(folder)
        if last.may_have_lost:
            _roll_back(layout, folders)
    except OSError as error:
        raise storage_error(layout.vectors, error) from error


def tables_on_disk(layout: Layout) -> list[Path]:
    """Return the folder of every Lance table of ours; others in the same folder are not touched."""
    found = layout.vectors.glob(f"*{disk_names.TABLE_SUFFIX}")
    return sorted(folder for folder in found if is_table_name(folder.stem))


def sweep_partial_files(folder: Path) -> None:
    """Remove the partial files that a killed write left in a Lance table.

    Lance's own clean-up does not remove them: after six kills, 34 MB of data took 237 MB on disk.
    """
    for name in files_below(folder):
        if disk_names.is_partial(name):
            with contextlib.suppress(OSError):
                (folder / name).unlink()


def sweep_branches(folder: Path) -> None:
    """Remove incompletely written branches of a Lance table.

    If a name has no files, or files have no name, Lance refuses to list branches, to create one of
    that name, and to clean up. The versions that they protected are protected again before the next
    clean-up.
    """
    names = disk_names.branch_names(folder)
    whole = {path.stem for path in names if _parses(path) and _has_files(folder, path.stem)}
    for path in names:
        if path.stem not in whole:
            path.unlink()
    for files in disk_names.branch_folders(folder):
        if files.name not in whole:
            shutil.rmtree(files)


def drop_version(folder: Path, version: int) -> None:
    """Take one version out of a Lance table; the files of its rows stay."""
    path = disk_names.manifest_path(folder, version)
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def _roll_back(layout: Layout, folders: list[Path]) -> None:
    """Roll every table back to the newest version that is known to be durable.

    After a power cut, newer versions may be torn even if they can be opened.
    """
    from localembed.store.manifest import Manifest

    manifest = Manifest(layout)
    marks = manifest.marks()
    try:
        entries = read_head(layout).tables
    except StorageError:
        entries = {}  # must not prevent `doctor --repair` from fixing head.json
    for folder in folders:
        entry, mark = entries.get(folder.stem), marks.get(folder.stem)
        durable = max(entry.lance_version if entry else 0, mark.lance_version if mark else 0)
        if durable:
            for version in disk_names.versions_on_disk(folder):
                if version > durable:
                    drop_version(folder, version)
            if mark and mark.lance_version == durable:
                _remove_others(folder, manifest.stored_files(folder.stem))
        else:  # interrupted before its first rows were durable
            set_aside(layout, folder)


def _remove_others(folder: Path, durable: Collection[str]) -> None:
    """Remove the files of a Lance table that were not made durable."""
    for name in files_below(folder):
        if disk_names.is_written_once(name) and name not in durable:
            (folder / name).unlink()


def _parses(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_bytes()), dict)
    except (ValueError, RecursionError):
        return False


def _has_files(folder: Path, branch: str) -> bool:
    manifests = disk_names.branch_manifests(folder, branch)
    return any(manifest.stat().st_size for manifest in manifests)
