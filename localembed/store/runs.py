"""Runs: their numbers, and what each did.

A run claims its number with its first write, before any row of it exists: else the rows of a run
that was killed would share a number with the next.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from localembed.core.files import read_json, storage_error, write_json
from localembed.store.layout import FORMAT, Layout


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
    try:
        return read_json(_record(layout, number))
    except (OSError, ValueError):
        return None


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _record(layout: Layout, number: int) -> Path:
    return layout.runs / f"{number}.json"
