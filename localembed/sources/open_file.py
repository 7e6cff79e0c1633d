"""Read one file below a root, without following links, so that content and stat belong together."""

from __future__ import annotations

import errno
import os
import stat as stat_bits
import time
from dataclasses import dataclass

from localembed.core import hashing
from localembed.errors import ReadError
from localembed.types.documents import FileStat

_MAX_ATTEMPTS = 3
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_CLOSED = getattr(os, "O_CLOEXEC", 0)
# Never follow a link or block on a FIFO that replaced the file after the walk.
_FLAGS = (
    os.O_RDONLY | _NO_LINKS | getattr(os, "O_NONBLOCK", 0) | _CLOSED | getattr(os, "O_BINARY", 0)
)
_ROOT_FLAGS = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | _CLOSED
_FOLDER_FLAGS = _ROOT_FLAGS | _NO_LINKS
_HAS_DESCRIPTORS = os.open in os.supports_dir_fd
_LINK_ERRORS = (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)
"""What systems answer where a link, or a file, is in a folder's place."""


@dataclass(frozen=True, slots=True)
class Content:
    """A file's bytes with the stat that they belong to."""

    data: bytes
    content_hash: bytes
    """16-byte digest of these bytes."""
    stat: FileStat
    observed_ns: int
    """Time before the file was opened."""


def read_file(root: bytes, path: bytes = b"", identity: tuple[int, int] | None = None) -> Content:
    """Return a file's bytes, which did not change while they were read.

    Args:
        root: absolute path of the root, which may itself be a link: the user named it.
        path: path relative to the root, of which no part is followed if it is a link; empty if the
            root is the file.
        identity: device and inode that the root must have: those that it had when it was walked.

    Raises:
        ReadError: it cannot be read, is no longer a regular file, or kept changing.
    """
    for attempt in range(_MAX_ATTEMPTS):
        if attempt:
            time.sleep(0.02 * attempt)
        try:
            content = _read_once(root, path, identity)
        except OSError as error:
            if error.errno in _LINK_ERRORS:
                message = "it or a folder above it is no longer what was found, such as a link now"
                raise ReadError(message) from error
            message = f"cannot be read: {error.strerror or error}"
            raise ReadError(message) from error
        if content is not None:
            return content
    message = "changed while it was read; the next run will retry it"
    raise ReadError(message)


def read_rules(path: bytes, most: int, *, follow_links: bool = False) -> bytes | None:
    """Return the first bytes of a file that controls the walk, None if it cannot be read.

    Args:
        path: the file; anything but a regular file cannot be read.
        most: maximum bytes.
        follow_links: whether it may be a link.
    """
    flags = _FLAGS & ~_NO_LINKS if follow_links else _FLAGS
    try:
        if follow_links and not stat_bits.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - bytes
            return None  # opening a device can do something
        with open(os.open(path, flags), "rb") as file:  # noqa: PTH123 - a descriptor
            regular = stat_bits.S_ISREG(os.fstat(file.fileno()).st_mode)
            return file.read(most) if regular else None
    except (OSError, ValueError):  # a NUL in a path that a file named
        return None


def _read_once(root: bytes, path: bytes, identity: tuple[int, int] | None) -> Content | None:
    """Return the content, None if the file changed while it was being read."""
    observed_ns = time.time_ns()
    with open(_opened(root, path, identity), "rb") as file:
        before = os.fstat(file.fileno())
        if not stat_bits.S_ISREG(before.st_mode):
            message = "is no longer a regular file"
            raise ReadError(message)
        data = file.read(before.st_size + 1)  # a file that grows without end is no longer the same
        after = os.fstat(file.fileno())
    if FileStat.of(before) != FileStat.of(after) or len(data) != after.st_size:
        return None
    return Content(data, hashing.digest(data), FileStat.of(after), observed_ns)


def _opened(root: bytes, path: bytes, identity: tuple[int, int] | None) -> int:
    """Return a descriptor of a file, opened folder by folder so that no link is followed.

    A path could lead elsewhere by now: a folder may have been replaced by a link after the walk.
    """
    if not path:
        return os.open(root, _FLAGS)
    *folders, name = path.split(b"/")
    if not _HAS_DESCRIPTORS:
        return _opened_by_path(root, folders, name)
    folder = os.open(root, _ROOT_FLAGS)
    try:
        if identity is not None and identity != _identity(os.fstat(folder)):
            message = "its root was replaced while it was indexed; the next run will retry it"
            raise ReadError(message)
        for part in folders:
            inner = os.open(part, _FOLDER_FLAGS, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(name, _FLAGS, dir_fd=folder)
    finally:
        os.close(folder)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _opened_by_path(root: bytes, folders: list[bytes], name: bytes) -> int:
    """Return a descriptor where the system has none of folders (Windows): look, then open."""
    place = root
    for part in (*folders, name):
        place = os.path.join(place, part)  # noqa: PTH118 - bytes
        if os.path.islink(place):  # noqa: PTH114
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return os.open(place, _FLAGS)
