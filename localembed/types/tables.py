"""What a workspace holds: tables, their versions, and how they are looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localembed.types.documents import Note, Root

SCHEMA_VERSION = 1
"""Raise it when a column of the rows changes: it is part of what a table is."""


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What a table is; stored in its schema, so that it explains itself."""

    name: str
    uuid: str
    format: int
    model: str
    space_id: str
    dim: int
    max_tokens: int
    overlap_tokens: int
    vector_type: str
    """float16 or float32."""


@dataclass(frozen=True, slots=True)
class Status:
    """What is in a workspace."""

    workspace: Path
    model: str | None
    table: str | None
    version: int | None
    files: int
    chunks: int
    roots: tuple[Root, ...]
    disk_bytes: int
    complete: bool
    vector_index: VectorIndex | None
    """None while all vectors are compared."""
    running: Mapping[str, Any] | None
    """The heartbeat of a run that is going on."""
    last_run: Mapping[str, Any] | None
    """The report of the run that readers see."""
    other_tables: Mapping[str, TableHead]
    pending_bytes: int = 0
    """A server's answers that no table has yet; the next run takes them."""
    failures: tuple[Note, ...] = ()
    """Passages without a vector, each with its reason."""


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """What was measured of a vector index when it was made."""

    recall: float
    """Recall@10 against exact search, on a sample."""
    probes: int
    """How many partitions a search looks into."""


@dataclass(frozen=True, slots=True)
class TableHead:
    """One table as readers see it."""

    uuid: str
    """Drawn when the table was made: a folder that was swapped has another."""
    lance_version: int
    run: int
    """The run that readers see."""
    complete: bool
    """False while its first build has not come to its end."""
    model: str
    space_id: str
    dim: int
    max_tokens: int
    overlap_tokens: int
    vector_type: str
    documents: int = 0
    chunks: int = 0
    data_bytes: int = 0
    """Of the files that hold its rows; versions share most of them."""
    vector_index: VectorIndex | None = None
    """None while all vectors are compared."""


@dataclass(frozen=True, slots=True)
class Version:
    """What readers saw after a run."""

    table: str
    entry: TableHead
    """As head.json named it."""
    at: str
    """When the run ended: ISO 8601 in UTC; empty if that is not known."""
    removed: int
    """Chunks that the run took out of the version before it."""
    files: Mapping[str, int]
    """How many the run "added", "changed" and "removed"; empty if that is not known."""
    tags: tuple[str, ...]

    @property
    def run(self) -> int:
        """The run that made it."""
        return self.entry.run


@dataclass(frozen=True, slots=True)
class Changes:
    """From an older version to a newer one; paths are absolute, for display."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    chunks_added: int
    chunks_removed: int


@dataclass(frozen=True, slots=True)
class Garbage:
    """What a clean-up drops."""

    runs: tuple[int, ...]
    """The versions that cannot be gone back to afterwards."""
    tables: tuple[str, ...]
    """That go as a whole: they were replaced."""
    models: tuple[str, ...]
    """Of these tables."""
