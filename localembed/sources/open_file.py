"""Read one file so that its content and its stat belong together."""

from __future__ import annotations

import os
import stat as stat_bits
import time
from dataclasses import dataclass

from localembed.core import hashing
from localembed.errors import ReadError
from localembed.types.documents import FileStat

_MAX_ATTEMPTS = 3
# Never follow a link or block on a FIFO that replaced the file after the walk.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


@dataclass(frozen=True, slots=True)
class Content:
    """A file's bytes with the stat that they belong to."""

    data: bytes
    content_hash: bytes
    """16-byte digest of these bytes."""
    stat: FileStat
    observed_ns: int
    """Time before the file was opened."""


def read_file(path: bytes) -> Content:
    """Return a file's bytes, which did not change while they were read.

    Raises:
        ReadError: it cannot be read, is no longer a regular file, or kept changing.
    """
    for attempt in range(_MAX_ATTEMPTS):
        if attempt:
            time.sleep(0.02 * attempt)
        try:
            content = _read_once(path)
        except OSError as error:
            message = f"cannot be read: {error.strerror or error}"
            raise ReadError(message) from error
        if content is not None:
            return content
    message = "changed while it was read; the next run will retry it"
    raise ReadError(message)


def read_rules(path: bytes) -> bytes | None:
    """Return the bytes of a file that controls the walk, None if it cannot be read."""
    try:
        with open(os.open(path, _FLAGS), "rb") as file:  # noqa: PTH123 - a descriptor
            regular = stat_bits.S_ISREG(os.fstat(file.fileno()).st_mode)
            return file.read() if regular else None
    except OSError:
        return None


def _read_once(path: bytes) -> Content | None:
    """Return the content, None if the file changed while it was being read."""
    observed_ns = time.time_ns()
    with open(os.open(path, _FLAGS), "rb") as file:  # noqa: PTH123 - a descriptor
        before = os.fstat(file.fileno())
        if not stat_bits.S_ISREG(before.st_mode):
            message = "is no longer a regular file"
            raise ReadError(message)
        data = file.read()
        after = os.fstat(file.fileno())
    if FileStat.of(before) != FileStat.of(after) or len(data) != after.st_size:
        return None
    return Content(data, hashing.digest(data), FileStat.of(after), observed_ns)
