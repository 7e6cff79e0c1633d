"""Runs: their numbers, what each did, and the heartbeat of the one that is running.

A run claims its number with its first write, before any row of it exists: else the rows of a run
that was killed would share a number with the next.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localembed.core.files import read_json, storage_error, write_json
from localembed.store.layout import FORMAT, Layout

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def newest_claimed(layout: Layout) -> int:
    """Return the highest run number that was ever claimed, 0 if none."""
    return max(claimed(layout), default=0)


def claimed(layout: Layout) -> list[int]:
    """Return all run numbers that were ever claimed."""
    try:
        names = [path.stem for path in layout.runs.iterdir() if path.suffix == ".json"]
    except FileNotFoundError:
        return []
    return [int(name) for name in names if name.isdigit()]


def claim_run(layout: Layout, number: int, table: str) -> None:
    """Write `runs/<n>.json` with state "started", safely on disk.

    Raises:
        StorageError: the disk is full or unwritable.
    """
    try:
        layout.runs.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise storage_error(layout.runs, error) from error
    facts = {"format": FORMAT, "run": number, "state": "started", "table": table, "at": now()}
    write_json(_record(layout, number), facts)


def record_version(layout: Layout, number: int, head: Mapping[str, object]) -> None:
    """Write into `runs/<n>.json` which version readers see of the run: how to come back to it.

    Args:
        layout: the workspace.
        number: of the run.
        head: its entry of head.json.
    """
    known = read_run(layout, number)
    if known is not None:
        write_json(_record(layout, number), {**known, "head": dict(head)})


def finish_run(layout: Layout, number: int, table: str, report: Mapping[str, object]) -> None:
    """Write into `runs/<n>.json` what the run did."""
    facts = {"format": FORMAT, "run": number, "state": "done", "table": table, "at": now()}
    known = read_run(layout, number) or {}
    write_json(_record(layout, number), {**known, **facts, "report": dict(report)})


def read_run(layout: Layout, number: int) -> dict[str, Any] | None:
    """Return what is known of a run, None if nothing is."""
    return _read(_record(layout, number))


@dataclass(frozen=True, slots=True)
class LastBeat:
    """How the last run that wrote anything was when it was last heard of."""

    ended: bool
    """Whether it came to an end, well or not; a kill or a power cut leaves no time for that."""
    durable: bool
    """Whether all that it had written was safely on disk."""
    may_have_lost: bool
    """Whether what it wrote and did not make durable may be gone by now."""


def begin_beat(layout: Layout, run: int) -> None:
    """Write down, safely, that a run begins to write: what it has not synced may be lost.

    Raises:
        StorageError: the disk is full or unwritable.
    """
    write_json(layout.heartbeat, {**_common(), "run": run})


def beat(layout: Layout, **facts: object) -> None:
    """Tell other commands how far the running run is; never fails for want of a disk."""
    with contextlib.suppress(Exception):
        write_json(layout.heartbeat, {**_common(), **facts}, sync=False)


def end_beat(layout: Layout, run: int, *, durable: bool, sync_failed: bool) -> None:
    """Write down that a run is over.

    Args:
        layout: the workspace.
        run: its number.
        durable: all that it wrote is safely on disk.
        sync_failed: the disk failed to keep what it took.
    """
    beat(layout, run=run, ended=True, durable=durable, sync_failed=sync_failed)


@contextmanager
def at_risk(layout: Layout) -> Iterator[None]:
    """Write down, safely, that what is written now may be lost, until all of it is made durable.

    Raises:
        StorageError: the disk is full or unwritable.
    """
    number = newest_claimed(layout)
    begin_beat(layout, number)
    durable = False
    try:
        yield
        durable = True
    finally:
        end_beat(layout, number, durable=durable, sync_failed=not durable)


def last_beat(layout: Layout) -> LastBeat | None:
    """Return how the last run was when it was last heard of, None if there never was one."""
    if not layout.heartbeat.exists():
        return None
    facts = _read(layout.heartbeat) or {}  # torn by a power cut: the worst is assumed
    ended, durable = facts.get("ended") is True, facts.get("durable") is True
    same_boot = facts.get("boot_id") == boot_id() != ""
    lost = not durable and (facts.get("sync_failed") is True or not same_boot)
    return LastBeat(ended, durable, lost)


def _common() -> dict[str, object]:
    return {"pid": os.getpid(), "boot_id": boot_id(), "updated": now()}


def read_heartbeat(layout: Layout) -> dict[str, Any] | None:
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


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _record(layout: Layout, number: int) -> Path:
    return layout.runs / f"{number}.json"


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
