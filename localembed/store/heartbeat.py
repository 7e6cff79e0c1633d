"""run.json: the heartbeat of the current run, and how the last run ended."""

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

_MAX_PID = 1 << 31
_BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class LastRun:
    """State of the last run that wrote anything, as of its last heartbeat."""

    ended: bool
    """Whether it ended by itself, successfully or not; false after a kill or a power cut."""
    durable: bool
    """Whether everything that it wrote was durable."""
    may_have_lost: bool
    """Whether data that it wrote but did not make durable may be lost."""


def start(layout: Layout, run: int) -> None:
    """Record durably that a run starts to write, so that what it has not synced may be lost.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    write_json(layout.heartbeat, {**_common(), "run": run})


def update(layout: Layout, **facts: object) -> None:
    """Record the progress of the current run for other commands; ignore errors."""
    with contextlib.suppress(Exception):
        write_json(layout.heartbeat, {**_common(), **facts}, sync=False)


def end(layout: Layout, run: int, *, durable: bool, sync_failed: bool) -> None:
    """Record that a run has ended.

    Args:
        layout: the workspace.
        run: the run's number.
        durable: whether everything that it wrote is durable.
        sync_failed: whether the disk failed to store data.
    """
    update(layout, run=run, ended=True, durable=durable, sync_failed=sync_failed)


@contextmanager
def at_risk(layout: Layout) -> Iterator[None]:
    """Record durably that what the block writes may be lost until the block has ended.

    Raises:
        StorageError: the disk is full or cannot be written.
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
    """Return the state of the last run, None if there was none."""
    if not layout.heartbeat.exists():
        return None
    facts = _read(layout.heartbeat) or {}  # torn by a power cut: assume the worst
    ended, durable = facts.get("ended") is True, facts.get("durable") is True
    same_boot = facts.get("boot_id") == boot_id() != ""
    lost = not durable and (facts.get("sync_failed") is True or not same_boot)
    return LastRun(ended, durable, lost)


def _common() -> dict[str, object]:
    return {"pid": os.getpid(), "boot_id": boot_id(), "updated": now()}


def current(layout: Layout) -> dict[str, Any] | None:
    """Return the heartbeat of a run that is in progress, None if there is none."""
    facts = _read(layout.heartbeat)
    if not facts or facts.get("ended") or facts.get("boot_id") != boot_id():
        return None
    return facts if _alive(facts.get("pid")) else None


def boot_id() -> str:
    """Return an id that changes with every boot of the machine, "" if there is none."""
    try:
        return _BOOT_ID_FILE.read_text().strip()
    except OSError:
        return ""


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def _alive(pid: object) -> bool:
    if not isinstance(pid, int) or not 0 < pid < _MAX_PID:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
