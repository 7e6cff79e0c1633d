"""The writer lock, which the kernel releases when its holder exits."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from localembed.core.files import storage_error
from localembed.core.ownership import foreign_entry
from localembed.errors import LockedError, NotTrustedError
from localembed.store import heartbeat
from localembed.store.crash_recovery import sweep
from localembed.store.disk import hide_from_git
from localembed.store.layout import Layout
from localembed.store.misplaced import set_wrong_lock_aside
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
        NotTrustedError: something in the workspace is a link or another user's.
        StorageError: the workspace cannot be written.
    """
    check_writable(layout)
    from filelock import FileLock, Timeout

    set_wrong_lock_aside(layout)
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
        hide_from_git(layout)
        sweep(layout)
        yield
    finally:
        tighten_workspace(layout)  # Lance and DuckDB create files by the umask
        lock.release()


def check_writable(layout: Layout) -> None:
    """Refuse to write a workspace through links, or into what another user owns.

    Raises:
        NotTrustedError: something is a link, a device, or belongs to neither this user, root nor
            the owner of the workspace; or a file that is written in place has another name, too.
        StorageError: the workspace cannot be examined.
    """
    in_place = (layout.lock, layout.manifest, *layout.pending.glob("*"))
    try:
        reason = foreign_entry(os.fspath(layout.folder), deep=True)
        for path in in_place:
            if not reason and path.is_file() and path.stat().st_nlink > 1:  # a folder has several
                reason = f"{path} is a hard link"
    except OSError as error:
        raise storage_error(layout.folder, error) from error
    if reason:
        message = f"{reason}, so the workspace is not written. Remove it, or make a new workspace."
        raise NotTrustedError(message)


def _holder(layout: Layout) -> str:
    facts = heartbeat.current(layout)
    return f" (process {facts['pid']} since {facts.get('started', '?')})" if facts else ""
