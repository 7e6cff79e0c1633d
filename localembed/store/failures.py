"""The list of passages of a table that have no vector, which `status` shows with the reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localembed.core.files import read_json, write_json
from localembed.store.layout import FORMAT, Layout
from localembed.types.documents import FileRecord


@dataclass(frozen=True, slots=True)
class FailedDocument:
    """A document with passages that only full-text search finds."""

    root_id: str
    path: bytes
    """Relative to the root."""
    reasons: tuple[str, ...]
    """One reason for each passage, with its lines; only the first of very many."""


class Failures:
    """Tracks the records of a run, and writes the list of passages without a vector."""

    def __init__(self, layout: Layout, table: str, records: Mapping[bytes, FileRecord]) -> None:
        """Start with the existing records."""
        self._path = layout.failures(table)
        self._partial: dict[bytes, FileRecord] = {}
        for record in records.values():
            self.note(record)

    def note(self, record: FileRecord) -> None:
        """Update the state of a document."""
        if record.state == "partial":
            self._partial[record.doc_id] = record
        else:
            self._partial.pop(record.doc_id, None)

    def forget(self, doc_id: bytes) -> None:
        """Remove a document that no longer exists."""
        self._partial.pop(doc_id, None)

    def publish(self) -> None:
        """Write the list, or delete its file if the list is empty.

        Raises:
            StorageError: the disk is full or cannot be written.
        """
        if not self._partial:
            self._path.unlink(missing_ok=True)
            return
        entries = [
            {"root": r.root_id, "path_hex": r.path.hex(), "reasons": r.reason.split("\n")}
            for r in self._partial.values()
        ]
        write_json(self._path, {"format": FORMAT, "failures": entries})


def read_failures(layout: Layout, table: str) -> tuple[FailedDocument, ...]:
    """Return the documents of a table that have passages without a vector."""
    return _read(layout.failures(table))


def _read(path: Path) -> tuple[FailedDocument, ...]:
    try:
        entries = read_json(path)["failures"]
        return tuple(
            FailedDocument(e["root"], bytes.fromhex(e["path_hex"]), tuple(map(str, e["reasons"])))
            for e in entries
        )
    except (OSError, ValueError, KeyError, TypeError):
        return ()
