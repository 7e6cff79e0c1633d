"""Make the files of a Lance table survive a power cut: Lance does not call fsync on a local disk.

Measured: a power cut seven seconds after a successful write left a table that could never be
opened. Four threads sync four new files in 4 ms; one by one takes 19-27 ms. Lance has no checksums
either: of eight flipped bits seven were read as other data, so each file is also hashed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from localembed.core import private
from localembed.core.files import storage_error, sync_file, sync_folder
from localembed.core.hashing import digest_file
from localembed.errors import StorageError
from localembed.store.lance.disk_names import is_partial, is_written_once

_SYNC_THREADS = 4


class SyncError(StorageError):
    """The disk failed to store data: everything not yet synced must be written again."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a Lance table as it was when it was made durable."""

    name: str
    """Path relative to the table's folder, with slashes."""
    size: int
    xxh3: bytes
    """16-byte xxh3-128 digest of its content."""


@dataclass(frozen=True, slots=True)
class Synced:
    """Files that were added and removed since the previous sync."""

    new: tuple[StoredFile, ...] = ()
    gone: tuple[str, ...] = ()


class FsyncTracker:
    """Tracks which files of a Lance table are durable, and syncs the others."""

    def __init__(self, folder: Path, known: Collection[str]) -> None:
        """Start with the files that are known to be durable; nothing is read yet.

        Args:
            folder: the Lance table's folder.
            known: names of durable files (see `StoredFile`).
        """
        self._folder = folder
        self._known = set(known)

    def sync(self) -> Synced:
        """Sync every new file and the folders that contain them.

        Raises:
            SyncError: the disk reported an error. The run must end: after a failed fsync the
                kernel may have dropped the data, and a second call would wrongly succeed.
        """
        present = {name for name in files_below(self._folder) if not is_partial(name)}
        fixed = {name for name in present if is_written_once(name)}
        new = fixed - self._known
        folders = {os.path.dirname(name) for name in present - self._known}  # noqa: PTH120
        changed = _with_parents(folders, self._folder)
        for path in (*changed, *(self._folder / name for name in present - self._known)):
            private.tighten(path, deep=False)  # Lance creates them by the umask
        try:
            with ThreadPoolExecutor(_SYNC_THREADS) as pool:
                list(pool.map(self._sync, present - fixed))
                stored = tuple(pool.map(self._sync_and_hash, new))
                list(pool.map(sync_folder, changed))
        except OSError as error:
            raise SyncError(str(storage_error(self._folder, error))) from error
        gone = tuple(self._known - fixed)
        self._known = fixed
        return Synced(stored, gone)

    def _sync(self, name: str) -> None:
        sync_file(os.fspath(self._folder / name))

    def _sync_and_hash(self, name: str) -> StoredFile:
        path = self._folder / name
        sync_file(os.fspath(path))
        return StoredFile(name, path.stat().st_size, digest_file(path))


def files_below(folder: Path) -> Iterable[str]:
    """Yield every file below a folder, relative to it, with slashes."""
    pending = [(os.fspath(folder), "")]
    while pending:
        at, prefix = pending.pop()
        try:
            with os.scandir(at) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append((entry.path, f"{prefix}{entry.name}/"))
                    else:
                        yield prefix + entry.name
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise


def _with_parents(folders: Iterable[str], top: Path) -> set[Path]:
    """Return folders of a table and their parents, up to the one that contains the table."""
    found = {top.parent, top}
    for folder in folders:
        inner = top / folder
        while inner not in found:
            found.add(inner)
            inner = inner.parent
    return found
