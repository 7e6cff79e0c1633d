"""Which passages of a table have no vector, and why: what `status` shows, beside the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localembed.core.files import read_json, write_json
from localembed.store.layout import FORMAT, Layout
from localembed.types.documents import FileRecord


@dataclass(frozen=True, slots=True)
class FailedDocument:
    """A document with passages that only full text finds."""

    root_id: str
    path: bytes
    """Relative to the root."""
    reasons: tuple[str, ...]
    """With the lines, one for each passage; the first of very many."""


class Failures:
    """Follows what a run records, and writes down what is left without a vector."""

    def __init__(self, layout: Layout, table: str, records: Mapping[bytes, FileRecord]) -> None:
        """Begin with what is known."""
        self._path = layout.failures(table)
        self._partial: dict[bytes, FileRecord] = {}
        for record in records.values():
            self.note(record)

    def note(self, record: FileRecord) -> None:
        """Take what became of a document."""
        if record.state == "partial":
            self._partial[record.doc_id] = record
        else:
            self._partial.pop(record.doc_id, None)

    def forget(self, doc_id: bytes) -> None:
        """Drop a document that is gone."""
        self._partial.pop(doc_id, None)

    def publish(self) -> None:
        """Write the list; without any there is no file.

        Raises:
            StorageError: the disk is full or unwritable.
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
            FailedDocument(e["root"], bytes.fromhex(e["path_hex"]), tuple(e["reasons"]))
            for e in entries
        )
    except (OSError, ValueError, KeyError, TypeError):
        return ()
