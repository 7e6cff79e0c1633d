"""Check the disk of a workspace: hard links, type of file system, free space."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from pathlib import Path

from localembed.core import private
from localembed.core.files import OTHER_KINDS, storage_error, write_atomically
from localembed.errors import StorageError, UsageError
from localembed.store.layout import Layout

_IMPOSSIBLE = OTHER_KINDS | {errno.ENAMETOOLONG, errno.ENOENT, errno.EINVAL}
_MOUNT_TABLE = Path("/proc/self/mountinfo")


def make_folder(folder: Path) -> None:
    """Create a folder for a workspace, mode 0700, on a disk that can hold one.

    Raises:
        UsageError: there can be no such folder.
        StorageError: it cannot be created, or the disk does not support hard links.
    """
    try:
        private.make_folder(folder)
    except OSError as error:
        if error.errno in _IMPOSSIBLE:
            message = f"{folder} cannot be a folder: {error.strerror}. Name another one."
            kind = StorageError if error.errno in OTHER_KINDS else UsageError
            raise kind(message) from error
        raise storage_error(folder, error) from error
    try:
        check_hard_links(folder)
    except StorageError:
        with contextlib.suppress(OSError):  # it is not empty
            folder.rmdir()
        raise


def hide_from_git(layout: Layout) -> None:
    """Keep a workspace, with all of its texts, out of the git repository around it.

    Raises:
        StorageError: the disk is full or unwritable.
    """
    if not layout.gitignore.exists():
        write_atomically(layout.gitignore, b"*\n")


def check_hard_links(folder: Path) -> None:
    """Check that LanceDB can commit here, which needs hard links.

    Raises:
        StorageError: the disk has no hard links (exFAT, FAT and some network mounts), or cannot be
            written.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=".link.", dir=folder)
        os.close(descriptor)
    except OSError as error:
        raise storage_error(folder, error) from error
    try:
        os.link(name, f"{name}.2")
    except OSError as error:
        message = (
            f"The disk of {folder} ({file_system(folder) or 'unknown'}) has no hard links, which "
            "LanceDB needs. Put the workspace on another disk: localembed index --workspace DIR"
        )
        raise StorageError(message) from error
    finally:
        for path in (name, f"{name}.2"):
            with contextlib.suppress(FileNotFoundError):
                Path(path).unlink()


def file_system(folder: Path) -> str:
    """Return the file system type of a folder's disk, "" if it cannot be determined."""
    try:
        lines = _MOUNT_TABLE.read_text().splitlines()
    except OSError:
        return ""
    device = folder.stat().st_dev
    device_numbers = f"{os.major(device)}:{os.minor(device)}"
    for line in reversed(lines):
        mount, _, rest = line.partition(" - ")
        if mount.split()[2] == device_numbers:
            return rest.split()[0]
    return ""


def free_bytes(folder: Path) -> int:
    """Return the free space of a folder's disk in bytes."""
    return shutil.disk_usage(folder).free
