"""What a table is due for since the last run, and the child that does it (`maintenance_child`)."""

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
    """What was due for a table and is done."""

    done: tuple[Task, ...]
    vector_index: VectorIndex | None
    """What is known of it now; None where all vectors are compared."""


class Maintenance:
    """The maintenance of one open table; the child that it may have started ends with `close`."""

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
        """Make the full-text index if there is none; rows that come later are searched as well."""
        with lance_errors(self._folder):
            if index_name(self._handle, INDEXED["text"]) is None:
                self._do(["text"], int(self._handle.count_rows()))

    def prestart(self) -> None:
        """Start the child process that `run` will need, as far as can be told."""
        with lance_errors(self._folder):
            rows = int(self._handle.count_rows())
            if rows > self._limits.in_process_rows and self._text_index_is_due(rows):
                with suppress(OSError):  # it is tried again when it is needed
                    self._child = MaintenanceChild(self._folder)

    def close(self) -> None:
        """End the child that was started, if nothing was due after all."""
        if self._child is not None:
            self._child.end()

    def run(self, known: VectorIndex | None) -> MaintenanceResult:
        """Do what has become due since the last run: put fragments together, make indexes anew.

        Args:
            known: what was measured of the vector index that there is.
        """
        with lance_errors(self._folder):
            rows = int(self._handle.count_rows())
            kept = known if self._vector_index_serves(rows) else None
            due: list[Task] = []
            if self._has_many_fragments(rows):
                due.append("compact")
            if self._text_index_is_due(rows):
                due.append("text")
            if kept is None and rows > self._limits.exact_rows:
                due.append("vector")
            made = self._do(due, rows) if due else None
        return MaintenanceResult(tuple(due), made or kept)

    def _text_index_is_due(self, rows: int) -> bool:
        """Tell whether there is none or many rows stand outside it."""
        outside = self._rows_outside("text")
        if outside is None:  # a run was cut off between its first rows and the index
            return rows > 0
        limits = self._limits
        return outside > max(limits.min_text_slack, min(rows // 100, limits.max_text_slack))

    def _vector_index_serves(self, rows: int) -> bool:
        """Tell whether there is one and not many rows stand outside it."""
        outside = self._rows_outside("vector")
        return outside is not None and outside <= max(self._limits.vector_slack, rows // 20)

    def _has_many_fragments(self, rows: int) -> bool:
        """Tell whether there are many small ones."""
        fragments: int = self._handle.stats()["fragment_stats"]["num_small_fragments"]
        limits = self._limits
        small = rows <= limits.small_table_rows
        return fragments > (limits.max_small_fragments if small else limits.max_fragments)

    def _rows_outside(self, task: Task) -> int | None:
        """Return how many rows an index does not hold, None if it is not there."""
        name = index_name(self._handle, INDEXED[task])
        return None if name is None else int(self._handle.index_stats(name).num_unindexed_rows)

    def _do(self, tasks: Sequence[Task], rows: int) -> VectorIndex | None:
        """Do tasks here or in a child, whichever is sooner done."""
        if rows <= self._limits.in_process_rows:
            return run_tasks(self._handle, tasks)
        child, self._child = self._child or MaintenanceChild(self._folder), None
        made = child.do(tasks)
        self._handle.checkout_latest()
        return made

    def compact(self) -> None:
        """Put fragments together, dropping deleted rows; nothing is cleaned up."""
        with lance_errors(self._folder):
            self._do(["compact"], int(self._handle.count_rows()))
