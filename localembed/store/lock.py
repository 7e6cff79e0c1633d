"""One writer at a time: a lock that the kernel frees when its holder dies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from localembed.errors import LockedError
from localembed.store.durable import storage_error
from localembed.store.layout import Layout
from localembed.store.runs import read_heartbeat


@contextmanager
def writer_lock(layout: Layout) -> Iterator[None]:
    """Hold the writer lock of a workspace.

    Raises:
        LockedError: another process holds it.
        StorageError: the workspace cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(layout.lock, timeout=0, mode=0o600)
    try:
        lock.acquire()
    except Timeout as error:
        holder = read_heartbeat(layout)
        who = f" (process {holder['pid']} since {holder['started']})" if holder else ""
        message = (
            f"Another localembed is writing to {layout.folder}{who}. Wait until it is done; "
            "`localembed status` shows how far it is."
        )
        raise LockedError(message) from error
    except OSError as error:
        raise storage_error(layout.lock, error) from error
    try:
        yield
    finally:
        lock.release()
