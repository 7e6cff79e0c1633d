"""Records of runs, and their numbers.

A run claims its number with its first write, before it adds rows: otherwise the rows of a killed
run would have the same number as those of the next.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from localembed.core.files import read_json, storage_error, write_json
from localembed.store.layout import FORMAT, Layout

_NUMBER = re.compile(r"[0-9]{1,15}")
"""A run's number as the name of a file; a longer one would not fit into a row."""


def newest_claimed(layout: Layout) -> int:
    """Return the highest run number claimed so far, 0 if none."""
    return max(claimed(layout), default=0)


def claimed(layout: Layout) -> list[int]:
    """Return all run numbers claimed so far."""
    try:
        names = [path.stem for path in layout.runs.iterdir() if path.suffix == ".json"]
    except OSError:
        return []
    return [int(name) for name in names if _NUMBER.fullmatch(name)]


def claim_run(layout: Layout, number: int, table: str) -> None:
    """Write `runs/<n>.json` durably, with state "started".

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    try:
        layout.runs.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise storage_error(layout.runs, error) from error
    facts = {"format": FORMAT, "run": number, "state": "started", "table": table, "at": now()}
    write_json(_record(layout, number), facts)


def record_version(layout: Layout, number: int, head: Mapping[str, object]) -> None:
    """Write the published version to `runs/<n>.json`, so that it can be restored.

    Args:
        layout: the workspace.
        number: the run's number.
        head: the version's entry in head.json.
    """
    record = read_run(layout, number)
    if record is not None:
        write_json(_record(layout, number), {**record, "head": dict(head)})


def finish_run(layout: Layout, number: int, table: str, report: Mapping[str, object]) -> None:
    """Write the run's report to `runs/<n>.json`."""
    facts = {"format": FORMAT, "run": number, "state": "done", "table": table, "at": now()}
    record = read_run(layout, number) or {}
    write_json(_record(layout, number), {**record, **facts, "report": dict(report)})


def read_run(layout: Layout, number: int) -> dict[str, Any] | None:
    """Return the record of a run, None if there is none that can be read."""
    try:
        return read_json(_record(layout, number))
    except (OSError, ValueError):
        return None


def now() -> str:
    """Return the current time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _record(layout: Layout, number: int) -> Path:
    return layout.runs / f"{number}.json"
