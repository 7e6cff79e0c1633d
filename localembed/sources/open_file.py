"""Read one file so that what was read is what its stat says."""

from __future__ import annotations

import os
import stat as stat_bits
import time
from dataclasses import dataclass

from localembed.core import hashing
from localembed.errors import ReadError
from localembed.types.documents import FileStat

_ATTEMPTS = 3
# No link is followed at the last moment, and a FIFO that took the file's place does not block.
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
    """Digest of exactly these bytes (16)."""
    stat: FileStat
    observed_ns: int
    """Taken before the file was opened."""


def read_file(path: bytes) -> Content:
    """Return a file's bytes; it did not change while they were read.

    Raises:
        ReadError: it cannot be read, is no regular file any more, or kept changing.
    """
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(0.02 * attempt)
        try:
            content = _read_once(path)
        except OSError as error:
            message = f"cannot be read: {error.strerror or error}"
            raise ReadError(message) from error
        if content is not None:
            return content
    message = "changed while it was read; it is tried again at the next run"
    raise ReadError(message)


def read_rules(path: bytes) -> bytes | None:
    """Return the bytes of a file that only steers the walk, None if it is no readable file."""
    try:
        with open(os.open(path, _FLAGS), "rb") as file:  # noqa: PTH123 - a descriptor
            regular = stat_bits.S_ISREG(os.fstat(file.fileno()).st_mode)
            return file.read() if regular else None
    except OSError:
        return None


def _read_once(path: bytes) -> Content | None:
    """Return the content, or None if the file changed meanwhile."""
    observed_ns = time.time_ns()
    with open(os.open(path, _FLAGS), "rb") as file:  # noqa: PTH123 - a descriptor
        before = os.fstat(file.fileno())
        if not stat_bits.S_ISREG(before.st_mode):
            message = "is no regular file any more"
            raise ReadError(message)
        data = file.read()
        after = os.fstat(file.fileno())
    if FileStat.of(before) != FileStat.of(after) or len(data) != after.st_size:
        return None
    return Content(data, hashing.digest(data), FileStat.of(after), observed_ns)
