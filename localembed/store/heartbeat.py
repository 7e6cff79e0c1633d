"""run.json: the heartbeat of the run that is going on, and how the last one ended."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localembed.core.files import read_json, write_json
from localembed.store.layout import Layout
from localembed.store.runs import newest_claimed, now

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class LastRun:
    """How the last run that wrote anything was when it was last heard of."""

    ended: bool
    """Whether it came to an end, well or not; a kill or a power cut leaves no time for that."""
    durable: bool
    """Whether all that it had written was safely on disk."""
    may_have_lost: bool
    """Whether what it wrote and did not make durable may be gone by now."""


def start(layout: Layout, run: int) -> None:
    """Write down, safely, that a run begins to write: what it has not synced may be lost.

    Raises:
        StorageError: the disk is full or unwritable.
    """
    write_json(layout.heartbeat, {**_common(), "run": run})


def update(layout: Layout, **facts: object) -> None:
    """Tell other commands how far the running run is; never fails for want of a disk."""
    with contextlib.suppress(Exception):
        write_json(layout.heartbeat, {**_common(), **facts}, sync=False)


def end(layout: Layout, run: int, *, durable: bool, sync_failed: bool) -> None:
    """Write down that a run is over.

    Args:
        layout: the workspace.
        run: its number.
        durable: all that it wrote is safely on disk.
        sync_failed: the disk failed to keep what it took.
    """
    update(layout, run=run, ended=True, durable=durable, sync_failed=sync_failed)


@contextmanager
def at_risk(layout: Layout) -> Iterator[None]:
    """Write down, safely, that what is written now may be lost, until all of it is made durable.

    Raises:
        StorageError: the disk is full or unwritable.
    """
    number = newest_claimed(layout)
    start(layout, number)
    durable = False
    try:
        yield
        durable = True
    finally:
        end(layout, number, durable=durable, sync_failed=not durable)


def last(layout: Layout) -> LastRun | None:
    """Return how the last run was when it was last heard of, None if there never was one."""
    if not layout.heartbeat.exists():
        return None
    facts = _read(layout.heartbeat) or {}  # torn by a power cut: the worst is assumed
    ended, durable = facts.get("ended") is True, facts.get("durable") is True
    same_boot = facts.get("boot_id") == boot_id() != ""
    lost = not durable and (facts.get("sync_failed") is True or not same_boot)
    return LastRun(ended, durable, lost)


def _common() -> dict[str, object]:
    return {"pid": os.getpid(), "boot_id": boot_id(), "updated": now()}


def current(layout: Layout) -> dict[str, Any] | None:
    """Return the heartbeat of a run that is still going on, None if there is none."""
    facts = _read(layout.heartbeat)
    if not facts or facts.get("ended") or facts.get("boot_id") != boot_id():
        return None
    return facts if _alive(int(facts.get("pid", 0))) else None


def boot_id() -> str:
    """Return what identifies the time since the machine was started, "" where nothing does."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def _alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
