"""The status of a workspace, and the results of its queries."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from localembed.core.text import show_path
from localembed.search import Answer
from localembed.store import heartbeat, runs
from localembed.store.failures import read_failures
from localembed.store.head import read_head
from localembed.store.layout import Layout
from localembed.store.root_documents import documents_of
from localembed.types.documents import Note, Root
from localembed.types.queries import Query, QueryResult, SearchHit
from localembed.types.tables import ListedRoot, RootListing, Status, UnknownRoot
from localembed.workspace.lost_roots import lost_roots


def query_result(query: Query, answer: Answer, begin: float) -> QueryResult:
    """Return the result of a query that began at `begin`, by `time.perf_counter`."""
    return QueryResult(
        query=query.text,
        mode=query.mode,
        version=answer.entry.run,
        model=answer.entry.model,
        seconds=time.perf_counter() - begin,
        hits=answer.hits,
        complete=answer.entry.complete,
        pieces=answer.pieces,
        readable=answer.readable,
    )


def is_in(hit: SearchHit, root: Root) -> bool:
    """Tell whether a hit is of a root."""
    top = show_path(root.path)
    return hit.path == top or hit.path.startswith(f"{top.rstrip('/')}/")


def elsewhere_notice(root: Root) -> str:
    """Return a sentence about a root of another machine, with the command for it."""
    return (
        f"{show_path(root.path)} is a folder of another machine; its text is the index's. If it is "
        f"here, too: localembed roots move {root.root_id} NEW"
    )


def read_status(layout: Layout, roots: tuple[Root, ...]) -> Status:
    """Return the status of a workspace, without opening a table."""
    head = read_head(layout)
    name, entry = head.table() or (None, None)
    return Status(
        workspace=layout.folder,
        model=entry.model if entry else None,
        table=name,
        version=entry.run if entry else None,
        files=entry.documents if entry else 0,
        chunks=entry.chunks if entry else 0,
        roots=roots,
        disk_bytes=layout.disk_bytes(),
        complete=entry.complete if entry else False,
        vector_index=entry.vector_index if entry else None,
        unreadable=entry.unreadable if entry else 0,
        running=heartbeat.current(layout),
        last_run=runs.read_run(layout, entry.run) if entry else None,
        other_tables={key: value for key, value in head.tables.items() if key != name},
        pending_bytes=layout.pending_bytes(),
        unknown_roots=lost_roots(layout),
        failures=_failed_passages(layout, name, {root.root_id: root.path for root in roots}),
    )


def list_roots(layout: Layout, roots: tuple[Root, ...]) -> RootListing:
    """Return the roots of a workspace, each with what is stored of it."""
    found = read_head(layout).table()
    files = found[1].roots if found else {}
    listed = (
        ListedRoot(root, files.get(root.root_id, 0), missing=_is_missing(root)) for root in roots
    )
    unknown = (
        UnknownRoot(root_id, files, next((d.path for d in documents_of(layout, root_id)), b""))
        for root_id, files in lost_roots(layout).items()
    )
    return RootListing(tuple(listed), tuple(unknown))


def _is_missing(root: Root) -> bool:
    return root.elsewhere or not os.path.exists(root.path)  # noqa: PTH110 - bytes


def _failed_passages(
    layout: Layout, table: str | None, roots: Mapping[str, bytes]
) -> tuple[Note, ...]:
    """Return the passages of a table that have no vector, each with its reason."""
    found = read_failures(layout, table) if table else ()
    return tuple(
        Note(os.path.join(roots[document.root_id], document.path).rstrip(b"/"), reason)  # noqa: PTH118 - bytes
        for document in found
        if document.root_id in roots
        for reason in document.reasons
    )
