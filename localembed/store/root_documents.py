"""The stored documents of a root or a table: from the manifest, or from the rows without one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from localembed.store.head import read_head
from localembed.store.lance.disk_names import newest_version
from localembed.store.layout import Layout
from localembed.store.manifest import Manifest
from localembed.types.documents import FileRecord, FileStat

if TYPE_CHECKING:
    from localembed.store.lance.table import StoredDocument

_MAX_DOCUMENTS = 100
_NO_STAT = FileStat(-1, 0, 0, 0)


def documents_of(layout: Layout, root_id: str, path: bytes = b"") -> list[FileRecord]:
    """Return at most 100 documents with rows, the same ones each time; of any table.

    Args:
        layout: the workspace.
        root_id: the root, which config.toml need not list.
        path: only documents at or below this path, relative to the root.
    """
    manifest = Manifest(layout, read_only=True)
    if manifest.marks():
        return manifest.sample(root_id, path, _MAX_DOCUMENTS)
    inside = (r for r in _rows(layout) if r.root_id == root_id and _holds(path, r.path))
    by_id = {record.doc_id: record for record in inside}
    return [by_id[doc_id] for doc_id in sorted(by_id)[:_MAX_DOCUMENTS]]


def records_of(layout: Layout, table: str) -> list[FileRecord]:
    """Return the records of all files of a table; without a manifest, of those with rows."""
    records, mark = Manifest(layout, read_only=True).load(table)
    if mark is not None:
        return list(records.values())
    return [record_of(document) for document in _documents(layout, table)]


def record_of(document: StoredDocument) -> FileRecord:
    """Return the record of a stored document, without a stat: its file is read and hashed again."""
    return FileRecord(
        doc_id=document.doc_id,
        root_id=document.root_id,
        path=document.path,
        stat=_NO_STAT,
        observed_ns=0,
        content_hash=document.content_hash,
        n_chunks=document.n_chunks,
        run=document.run,
        state="indexed",
    )


def _holds(folder: bytes, path: bytes) -> bool:
    return not folder or path == folder or path.startswith(folder + b"/")


def _rows(layout: Layout) -> Iterator[FileRecord]:
    for name in read_head(layout).tables:
        yield from map(record_of, _documents(layout, name))


def _documents(layout: Layout, table: str) -> Iterable[StoredDocument]:
    """Return the documents of a table, none if it has no rows."""
    from localembed.store.lance.table import ChunkTable

    if not newest_version(layout.table(table)):
        return ()
    return ChunkTable.open(layout, table).documents()
