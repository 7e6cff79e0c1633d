"""What the disk under a workspace can do, and how much is left of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from localembed.core.files import storage_error
from localembed.errors import StorageError

_MOUNTS = Path("/proc/self/mountinfo")


def make_folder(folder: Path) -> None:
    """Make a folder for a workspace, mode 0700, if the disk can hold one.

    Raises:
        StorageError: it cannot be made, or the disk has no hard links.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(folder, error) from error
    try:
        check_hard_links(folder)
    except StorageError:
        with contextlib.suppress(OSError):  # something else lies in it
            folder.rmdir()
        raise


def check_hard_links(folder: Path) -> None:
    """Make sure that LanceDB can commit here: it does so by a hard link.

    Raises:
        StorageError: the disk has none (exFAT, FAT and some network mounts), or is unwritable.
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
            "LanceDB needs. Put the workspace on another one: localembed index --workspace DIR"
        )
        raise StorageError(message) from error
    finally:
        for path in (name, f"{name}.2"):
            with contextlib.suppress(FileNotFoundError):
                Path(path).unlink()


def file_system(folder: Path) -> str:
    """Return the type of the file system a folder lies on, "" where the system does not tell."""
    try:
        lines = _MOUNTS.read_text().splitlines()
    except OSError:
        return ""
    device = folder.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in reversed(lines):
        mount, _, rest = line.partition(" - ")
        if mount.split()[2] == wanted:
            return rest.split()[0]
    return ""


def free_bytes(folder: Path) -> int:
    """Return how many bytes may still be written to the disk of a folder."""
    return shutil.disk_usage(folder).free
