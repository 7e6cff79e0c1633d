"""List the files of an index, and with a walk those that are skipped."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from localembed.sources import WalkRules, walk
from localembed.store.head import read_head
from localembed.store.layout import Layout
from localembed.store.root_documents import records_of
from localembed.types.documents import FileRecord, Note
from localembed.types.listing import FileListing, ListedFile
from localembed.workspace.roots import Scope


def list_files(
    layout: Layout, scopes: Sequence[Scope], rules: WalkRules | None, *, by_chunks: bool
) -> FileListing:
    """Return the files of the default table; no file is opened.

    Args:
        layout: the workspace.
        scopes: parts of roots.
        rules: limits of a walk, which finds what is skipped; None for no walk.
        by_chunks: sort by chunks, most first, instead of by path.
    """
    found = read_head(layout).table()
    stored = records_of(layout, found[0]) if found else []
    records = {record.doc_id: record for record in stored}
    known = [(scope, r) for scope in scopes for r in records.values() if _holds(scope, r)]
    files = {ListedFile(_path(scope, r), r.n_chunks, r.state) for scope, r in known if r.n_chunks}
    failed = {Note(_path(scope, r), r.reason) for scope, r in known if r.state == "failed"}
    skipped: set[Note] = set()
    if rules is not None:
        for scope in scopes:
            walked = walk(scope.root, rules, scope.path)
            skipped.update(walked.skipped)
            failed.update(walked.failures)
            wanted = (records.get(file.doc_id) for file in walked.files)
            skipped.update(_skipped(scope, wanted))
    return FileListing(
        tuple(sorted(files, key=lambda file: (-file.chunks * by_chunks, file.path))),
        _sorted(failed),
        None if rules is None else _sorted(skipped),
    )


def _skipped(scope: Scope, records: Iterable[FileRecord | None]) -> Iterable[Note]:
    """Return the notes of files that were read, and skipped for what is in them."""
    return (Note(_path(scope, r), r.reason) for r in records if r and r.state == "skipped")


def _holds(scope: Scope, record: FileRecord) -> bool:
    if record.root_id != scope.root.root_id:
        return False
    path = scope.path
    return not path or record.path == path or record.path.startswith(path + b"/")


def _path(scope: Scope, record: FileRecord) -> bytes:
    return os.path.join(scope.root.path, record.path).rstrip(b"/")  # noqa: PTH118 - bytes


def _sorted(notes: Iterable[Note]) -> tuple[Note, ...]:
    return tuple(sorted(notes, key=lambda note: (note.path, note.reason)))
