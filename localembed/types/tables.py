"""The contents of a workspace: its tables, their versions and its status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localembed.types.documents import Note, Root

SCHEMA_VERSION = 2
"""Version of the rows' columns; increase it when they change, so that tables are rebuilt."""


@dataclass(frozen=True, slots=True)
class TableFacts:
    """The facts that define a table; stored in its schema, so that it explains itself."""

    name: str
    uuid: str
    format: int
    model: str
    space_id: str
    dim: int
    max_tokens: int
    overlap_tokens: int
    vector_type: str
    """Type of the stored vectors: float16 or float32."""


@dataclass(frozen=True, slots=True)
class Status:
    """State of a workspace."""

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
    """The vector index; None while queries compare all vectors."""
    unreadable: int
    """Number of chunks whose text the model does not know, so that only their words are found."""
    running: Mapping[str, Any] | None
    """Heartbeat of the run in progress."""
    last_run: Mapping[str, Any] | None
    """Report of the run that readers see."""
    other_tables: Mapping[str, TableHead]
    pending_bytes: int = 0
    """Size of vectors that are not in a table yet; the next run uses them."""
    failures: tuple[Note, ...] = ()
    """Passages without a vector, each with its reason."""
    unknown_roots: Mapping[str, int] = field(default_factory=dict)
    """root_id → number of documents, of stored roots that config.toml does not list; queries do not
    show them."""


@dataclass(frozen=True, slots=True)
class ListedRoot:
    """A root with what is stored of it."""

    root: Root
    files: int
    """Number of files with rows in the default table."""
    missing: bool
    """Whether its path does not exist on this machine."""


@dataclass(frozen=True, slots=True)
class UnknownRoot:
    """A stored root that config.toml does not list."""

    root_id: str
    files: int
    example: bytes
    """Path of one of its files, relative to the root; empty if the root is a file."""


@dataclass(frozen=True, slots=True)
class RootListing:
    """All roots of a workspace."""

    roots: tuple[ListedRoot, ...]
    unknown: tuple[UnknownRoot, ...]
    """Stored roots that config.toml does not list."""


@dataclass(frozen=True, slots=True)
class MovedRoot:
    """A root that was pointed to another path."""

    root: Root
    """The root as it is now."""
    old: bytes
    """Its path before; empty if config.toml did not list it."""
    looked_at: int
    """Number of its files that were looked for at the new path."""
    found: int
    """Number of these that are there as they were indexed."""


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """Measurements of a vector index, taken when it was built."""

    recall: float
    """Recall@10 against exact search, on a sample."""
    probes: int
    """Number of partitions that a search probes."""


@dataclass(frozen=True, slots=True)
class TableHead:
    """One table as readers see it."""

    uuid: str
    """Random id, chosen when the table was created; a folder that was swapped has another."""
    lance_version: int
    run: int
    """Run that readers see."""
    complete: bool
    """Whether its first build is complete."""
    model: str
    space_id: str
    dim: int
    max_tokens: int
    overlap_tokens: int
    vector_type: str
    documents: int = 0
    chunks: int = 0
    unreadable: int = 0
    """Number of chunks of which the model knows too little to compare them (see `READABLE`)."""
    data_bytes: int = 0
    """Size of the files that hold its rows; versions share most of them."""
    vector_index: VectorIndex | None = None
    """The vector index; None while queries compare all vectors."""
    roots: Mapping[str, int] = field(default_factory=dict)
    """root_id → number of documents with rows."""


@dataclass(frozen=True, slots=True)
class Version:
    """A published version: what readers see after a run."""

    table: str
    entry: TableHead
    """The table's entry in head.json."""
    at: str
    """End of the run, ISO 8601 in UTC; empty if unknown."""
    removed: int
    """Number of chunks that the run removed."""
    files: Mapping[str, int]
    """Number of files "added", "changed" and "removed"; empty if unknown."""
    tags: tuple[str, ...]

    @property
    def run(self) -> int:
        """Number of the run that published it."""
        return self.entry.run


@dataclass(frozen=True, slots=True)
class Changes:
    """Differences between two versions; paths are absolute, for display."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    chunks_added: int
    chunks_removed: int


@dataclass(frozen=True, slots=True)
class Garbage:
    """What garbage collection deletes."""

    runs: tuple[int, ...]
    """Versions that cannot be restored afterwards."""
    tables: tuple[str, ...]
    """Replaced tables that are deleted as a whole."""
    models: tuple[str, ...]
    """Models of these tables."""
