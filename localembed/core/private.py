"""Files and folders that only their owner may access: 0600 and 0700, whatever the umask is.

A library must not change the umask of its program, and Lance, DuckDB and others create files by it.
So each file gets its mode by itself: our own when they are created, those of libraries right after.
Until then, the folder above protects them.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

FILE, FOLDER = 0o600, 0o700


def make_folder(folder: Path) -> None:
    """Create a folder, and the missing ones above it, for their owner alone.

    Raises:
        OSError: one cannot be created.
    """
    if folder.is_dir():
        return
    if not folder.parent.exists():
        make_folder(folder.parent)
    folder.mkdir(mode=FOLDER, exist_ok=True)


def create_file(path: Path) -> BinaryIO:
    """Open a file for writing, created for its owner alone.

    Raises:
        OSError: it cannot be created.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, FILE), "wb")


def tighten(top: str | os.PathLike[str], *, deep: bool = True) -> None:
    """Take all rights of other users from a file, or a folder and everything in it.

    What cannot be changed, such as a file of another user, stays as it is.

    Args:
        top: the file or folder.
        deep: whether to change what is in the folder, too.
    """
    for path, mode in loose(top, deep=deep):
        with contextlib.suppress(OSError):
            _change(path, mode)


def _change(path: str, mode: int) -> None:
    """Change a mode through a descriptor: a path could be a link by now.

    Raises:
        OSError: it cannot be changed, or is a link.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def loose(top: str | os.PathLike[str], *, deep: bool = True) -> Iterator[tuple[str, int]]:
    """Yield what other users may access in a file or folder, with the mode that it should have.

    No link is followed, and a file with several names is left out: one may be elsewhere. Windows
    has no such modes: nothing is yielded there.
    """
    if sys.platform == "win32":
        return
    pending = [os.fspath(top)]
    while pending:
        path = pending.pop()
        try:
            status = os.lstat(path)
            mode = status.st_mode
            is_folder = stat.S_ISDIR(mode)
            wanted = mode & (FOLDER if is_folder else FILE)
            is_own_file = stat.S_ISREG(mode) and status.st_nlink == 1
            if mode & 0o777 != wanted and (is_folder or is_own_file):
                yield path, wanted
            if is_folder and deep:
                pending += [entry.path for entry in os.scandir(path)]
        except OSError:
            continue
