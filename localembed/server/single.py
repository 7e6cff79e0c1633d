"""The lock that makes the resident the only one of its address.

The process that starts a resident takes the lock and passes it on, so that the resident is known
from that moment on: others start no second one, and `serve --stop` waits for it.
"""

from __future__ import annotations

import os
import sys

from localembed.server import address

CAN_PASS_ON = sys.platform != "win32"
"""Whether a child process can inherit the lock."""


def take(path: str) -> int | None:
    """Return a descriptor that holds the lock until it is closed, None if another one does.

    Args:
        path: path of the socket, in a private folder that exists.

    Raises:
        OSError: the file of the lock cannot be created, or other users can access the folder.
    """
    if not address.is_private(os.path.dirname(path)):  # noqa: PTH120 - a string
        message = f"{path} can be accessed by other users"
        raise PermissionError(message)
    descriptor = os.open(_file(path), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def exists(path: str) -> bool:
    """Tell whether a resident has ever held the lock; its file stays."""
    return os.path.exists(_file(path))  # noqa: PTH110 - a string


def _file(path: str) -> str:
    return f"{path}.lock"


def is_held(path: str) -> bool:
    """Tell whether a resident holds the lock, even if it does not listen yet."""
    try:
        descriptor = take(path)
    except OSError:
        return False
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
