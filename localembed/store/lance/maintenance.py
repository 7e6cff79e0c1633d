"""Decide which maintenance a table needs, and run it here or in a child process."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localembed.store.lance.connection import lance_errors
from localembed.store.lance.maintenance_child import (
    INDEXED,
    MaintenanceChild,
    Task,
    index_name,
    run_tasks,
)
from localembed.types.limits import Limits
from localembed.types.tables import VectorIndex

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class MaintenanceResult:
    """The maintenance that was due and is done."""

    done: tuple[Task, ...]
    vector_index: VectorIndex | None
    """The vector index of the table; None if all vectors are compared."""


class Maintenance:
    """The maintenance of one open table; `close` ends the child process it may have started."""

    def __init__(self, handle: Any, folder: Path, limits: Limits) -> None:  # noqa: ANN401 - lancedb
        """Begin with nothing known.

        Args:
            handle: the open lancedb table.
            folder: where its files lie.
            limits: when what is due.
        """
        self._limits = limits
        self._handle = handle
        self._folder = folder
        self._child: MaintenanceChild | None = None

    def ensure_text_index(self) -> None:
        """Make the full-text index if there is none; rows added later are searched as well."""
        with lance_errors(self._folder):
            if index_name(self._handle, INDEXED["text"]) is None:
                self._run_tasks(["text"], int(self._handle.count_rows()))

    def prestart(self) -> None:
        """Start the child process if `run` seems likely to need it."""
        with lance_errors(self._folder):
            rows = int(self._handle.count_rows())
            if rows > self._limits.in_process_rows and self._text_index_is_due(rows):
                with suppress(OSError):  # it is tried again when it is needed
                    self._child = MaintenanceChild(self._folder)

    def close(self) -> None:
        """End the child process that was started, if nothing was due after all."""
        if self._child is not None:
            self._child.end()

    def run(self, known: VectorIndex | None) -> MaintenanceResult:
        """Do what is due since the last run: compact fragments, rebuild indexes.

        Args:
            known: the measurements of the existing vector index.
        """
        with lance_errors(self._folder):
            rows = int(self._handle.count_rows())
            kept = known if self._vector_index_is_usable(rows) else None
            due: list[Task] = []
            if self._has_many_fragments(rows):
                due.append("compact")
            if self._text_index_is_due(rows):
                due.append("text")
            if kept is None and rows > self._limits.exact_rows:
                due.append("vector")
            rebuilt = self._run_tasks(due, rows) if due else None
        return MaintenanceResult(tuple(due), rebuilt or kept)

    def _text_index_is_due(self, rows: int) -> bool:
        """Tell whether there is no index, or many rows are outside it."""
        outside = self._rows_outside("text")
        if outside is None:  # a run was interrupted between its first rows and the index
            return rows > 0
        limits = self._limits
        return outside > max(limits.min_text_slack, min(rows // 100, limits.max_text_slack))

    def _vector_index_is_usable(self, rows: int) -> bool:
        """Tell whether there is an index, and few rows are outside it."""
        outside = self._rows_outside("vector")
        return outside is not None and outside <= max(self._limits.vector_slack, rows // 20)

    def _has_many_fragments(self, rows: int) -> bool:
        """Tell whether there are too many small fragments."""
        fragments: int = self._handle.stats()["fragment_stats"]["num_small_fragments"]
        limits = self._limits
        small = rows <= limits.small_table_rows
        return fragments > (limits.max_small_fragments if small else limits.max_fragments)

    def _rows_outside(self, task: Task) -> int | None:
        """Return how many rows are not in an index, None if there is no index."""
        name = index_name(self._handle, INDEXED[task])
        return None if name is None else int(self._handle.index_stats(name).num_unindexed_rows)

    def _run_tasks(self, tasks: Sequence[Task], rows: int) -> VectorIndex | None:
        """Run tasks in this process or in a child process, whichever finishes sooner."""
        if rows <= self._limits.in_process_rows:
            return run_tasks(self._handle, tasks)
        child, self._child = self._child or MaintenanceChild(self._folder), None
        index = child.do(tasks)
        self._handle.checkout_latest()
        return index

    def compact(self) -> None:
        """Compact fragments and drop deleted rows; older versions stay."""
        with lance_errors(self._folder):
            self._run_tasks(["compact"], int(self._handle.count_rows()))
