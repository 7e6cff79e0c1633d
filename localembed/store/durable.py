"""Make what was written survive a power cut: Lance makes no fsync on a local disk.

Measured: a cut seven seconds after a successful write left a table that could never be opened.
Four threads sync four new files in 4 ms where one by one takes 19-27 ms.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from localembed.errors import StorageError

_THREADS = 4
_ALWAYS = "latest_version_hint.json"
"""Lance overwrites this file in place; every other file is written once."""


def write_atomically(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Replace a file in one step, so that a reader sees the old content or the new.

    Raises:
        StorageError: the disk is full or unwritable.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                if sync:
                    os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        if sync:
            _sync_folder(path.parent)
    except OSError as error:
        raise storage_error(path, error) from error


def write_json(path: Path, value: Mapping[str, object], *, sync: bool = True) -> None:
    """Replace a file by a JSON object (see `write_atomically`)."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    write_atomically(path, text.encode("utf-8", "backslashreplace") + b"\n", sync=sync)


def storage_error(path: Path, error: OSError) -> StorageError:
    """Return the sentence for a disk that would not do as told."""
    reason = error.strerror or str(error)
    return StorageError(
        f"Cannot write {path}: {reason}. Free some space or fix the permissions, then run "
        "the same command again; what was indexed so far is kept."
    )


class SyncedFolder:
    """Remembers which files of a folder are safely on disk, and syncs the others."""

    def __init__(self, folder: Path, *, trusted: bool) -> None:
        """Look at a folder.

        Args:
            folder: a Lance table.
            trusted: what lies there now was synced by the run that wrote it.
        """
        self._folder = folder
        self._synced: set[str] = set(_files_below(folder)) if trusted else set()

    def sync(self) -> int:
        """Sync every new file and the folders they lie in; return how many files.

        Raises:
            StorageError: the disk reported an error. The run must end: after a failed fsync the
                kernel may have dropped the data and a second call would succeed wrongly.
        """
        present = set(_files_below(self._folder))
        new = {name for name in present if name not in self._synced or name.endswith(_ALWAYS)}
        folders = {os.path.dirname(name) for name in new}  # noqa: PTH120 - plain strings
        try:
            with ThreadPoolExecutor(_THREADS) as pool:
                list(pool.map(_sync_file, new))
                list(pool.map(_sync_folder, map(Path, _with_parents(folders, self._folder))))
        except OSError as error:
            raise storage_error(self._folder, error) from error
        self._synced = present
        return len(new)


def sweep_partial_files(folder: Path) -> int:
    """Remove what a killed write left behind in a Lance table; return how many files.

    No clean-up of Lance's own takes them: after six kills 237 MB lay on disk for 34 MB of data.
    """
    leftovers = [name for name in _files_below(folder) if ".tmp" in os.path.basename(name)]  # noqa: PTH119
    for name in leftovers:
        with contextlib.suppress(OSError):
            Path(name).unlink()
    return len(leftovers)


def _files_below(folder: Path) -> Iterable[str]:
    pending = [os.fspath(folder)]
    while pending:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        yield entry.path
        except FileNotFoundError:
            continue


def _with_parents(folders: Iterable[str], top: Path) -> set[str]:
    """Return the folders and those above them up to the one that holds `top`."""
    stop = os.fspath(top.parent)
    found: set[str] = set()
    for folder in folders:
        at = folder
        while at not in found and at.startswith(stop):
            found.add(at)
            at = os.path.dirname(at)  # noqa: PTH120 - plain strings
    return found


def _sync_file(name: str) -> None:
    descriptor = os.open(name, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    if sys.platform != "win32":  # folders cannot be opened there, and need not be
        _sync_file(os.fspath(folder))
