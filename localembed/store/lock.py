"""The writer lock, which the kernel releases when its holder exits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from localembed.core.files import storage_error
from localembed.errors import LockedError
from localembed.store import heartbeat
from localembed.store.crash_recovery import sweep
from localembed.store.layout import Layout
from localembed.store.modes import tighten_workspace

_POLL_SECONDS = 0.1


@contextmanager
def writer_lock(layout: Layout, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the writer lock of a workspace, after crash recovery (see `sweep`).

    Args:
        layout: the workspace.
        on_wait: called with a message before waiting for another process; None to fail at once.

    Raises:
        LockedError: another process holds it.
        StorageError: the workspace cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(layout.lock, timeout=0, mode=0o600)
    try:
        try:
            lock.acquire()
        except Timeout as error:
            busy = f"Another localembed is writing to {layout.folder}{_holder(layout)}."
            if on_wait is None:
                message = (
                    f"{busy} Wait until it is done (`localembed index --wait` does); `localembed "
                    "status` shows its progress."
                )
                raise LockedError(message) from error
            on_wait(f"{busy} Waiting until it is done.")
            lock.acquire(timeout=-1, poll_interval=_POLL_SECONDS)
    except OSError as error:
        raise storage_error(layout.lock, error) from error
    try:
        sweep(layout)
        yield
    finally:
        tighten_workspace(layout)  # Lance and DuckDB create files by the umask
        lock.release()


def _holder(layout: Layout) -> str:
    facts = heartbeat.current(layout)
    return f" (process {facts['pid']} since {facts.get('started', '?')})" if facts else ""
