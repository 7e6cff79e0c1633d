"""Check one table: head.json, Lance and the manifest must agree, and all rows must be valid."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from localembed.checkup.finding import REFRESH, REPAIR, CheckContext, note, ok, wrong
from localembed.core.hashing import digest_file
from localembed.core.text import counted, show_path
from localembed.errors import WorkspaceError
from localembed.store.fsync import StoredFile
from localembed.store.lance.disk_names import newest_version, versions_on_disk
from localembed.store.lance.inspection import Inspection
from localembed.store.lance.links import linked_view
from localembed.store.lance.repair import drop_unreadable, is_needed
from localembed.store.manifest import Manifest
from localembed.store.root_documents import documents_of
from localembed.types.findings import Finding
from localembed.types.tables import TableHead

_SAMPLE_ROWS = 1_000
"""Number of vectors to read unless `deep`, and minimum unindexed rows worth a note."""
_MAX_UNINDEXED_SHARE = 0.25
"""Maximum share of rows outside the text index without a note."""


def check_table(context: CheckContext, name: str, entry: TableHead) -> Iterator[Finding]:
    """Yield the findings of one table, each check after those it depends on."""
    folder = context.layout.table(name)
    label = entry.model
    if not folder.is_dir():
        return  # reported by check_head
    damaged = damaged_files(context, name)
    yield _files(context, name, damaged)
    yield _versions(context, name, entry)
    try:
        table = Inspection(folder, entry.lance_version)
        if table.uuid != entry.uuid:
            text = f"{label}: {folder} is not the table that head.json describes"
            yield wrong("table", text, REPAIR)
            return
        yield from _rows(context, name, entry, table)
        yield _vectors(context, label, table)
        yield from _indexes(label, table)
    except WorkspaceError as error:
        yield wrong("rows", f"{label}: {error}", REPAIR)


def damaged_files(context: CheckContext, name: str) -> dict[str, str]:
    """Return the files of a table that differ from what was written: name → what is wrong."""
    folder = context.layout.table(name)
    known = Manifest(context.layout, read_only=True).stored_files(name)
    found = {file.name: why for file in known.values() if (why := _damage(folder, file, context))}
    gone = {file for file, why in found.items() if why == "gone"}
    if gone and (context.busy or not is_needed(folder, gone, context.head.tables[name])):
        # A clean-up, running or interrupted, has deleted them.
        return {file: why for file, why in found.items() if file not in gone}
    return found


def affected_documents(
    context: CheckContext, name: str, damaged: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the paths of the documents that lose rows if damaged files are removed."""
    records, _ = Manifest(context.layout, read_only=True).load(name)
    with tempfile.TemporaryDirectory(prefix="localembed-") as temporary:
        folder = linked_view(context.layout.table(name), damaged, Path(temporary))
        try:
            drop_unreadable(folder, damaged)
            left = Inspection(folder).rows().documents
        except WorkspaceError:
            left = frozenset()
    lost = [r for r in records.values() if r.n_chunks and r.doc_id not in left]
    return tuple(sorted(_shown(context, record.root_id, record.path) for record in lost))


def _damage(folder: Path, file: StoredFile, context: CheckContext) -> str:
    path = folder / file.name
    try:
        if path.stat().st_size != file.size:
            return "wrong size"
        if context.deep and digest_file(path) != file.xxh3:
            return "changed"
    except FileNotFoundError:
        return "gone"
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _files(context: CheckContext, name: str, damaged: Mapping[str, str]) -> Finding:
    known = Manifest(context.layout, read_only=True).stored_files(name)
    if not known:
        return note("files", "The manifest has no digests of the table's files", REFRESH)
    if not damaged:
        how = "unchanged" if context.deep else "present (to check their content: --deep)"
        return ok("files", f"{len(known)} files of the table are {how}")
    documents = affected_documents(context, name, damaged)
    broken = tuple(f"{file}: {why}" for file, why in sorted(damaged.items()))
    cost = counted(len(documents), "document")
    text = f"{len(damaged)} of the table's {len(known)} files are damaged; this affects {cost}"
    return wrong("files", text, context.repair, (*broken, *documents))


def _versions(context: CheckContext, name: str, entry: TableHead) -> Finding:
    """Compare the newest version according to head.json, Lance and the manifest."""
    folder = context.layout.table(name)
    newest = newest_version(folder)
    if context.busy:
        return note("versions", "A run is writing a newer version")
    mark = Manifest(context.layout, read_only=True).marks().get(name)
    if entry.lance_version not in versions_on_disk(folder):
        text = f"head.json names version {entry.lance_version}, which does not exist"
        return wrong("versions", text, REPAIR)
    if mark is None:
        return note("versions", "The manifest has no entry for the table", REFRESH)
    if not mark.lance_version == newest == entry.lance_version:
        text = f"head.json is at {entry.lance_version}, the manifest at {mark.lance_version}, "
        return note("versions", f"{text}Lance at {newest}: a run was interrupted", REFRESH)
    return ok("versions", f"head.json, manifest and Lance agree on version {newest}")


def _rows(
    context: CheckContext, name: str, entry: TableHead, table: Inspection
) -> Iterator[Finding]:
    census = table.rows()
    yield from _unknown_roots(context, census.roots)
    if census.duplicates:
        yield wrong("rows", f"{counted(census.duplicates, 'chunk')} stored twice", REPAIR)
    elif census.incomplete:
        paths = tuple(_shown(context, *document) for document in census.incomplete)
        yield wrong("rows", f"{counted(len(paths), 'document')} with missing rows", REPAIR, paths)
    elif census.rows != entry.chunks:
        text = f"The table has {census.rows:,} chunks; head.json says {entry.chunks:,}"
        yield wrong("rows", text, REPAIR)
    elif text := _disagreement(context, name, entry, census.documents):
        yield wrong("rows", text, REPAIR)
    else:
        documents = counted(len(census.documents), "document")
        yield ok("rows", f"{counted(census.rows, 'chunk')} of {documents}, no duplicates")


def _unknown_roots(context: CheckContext, stored: Mapping[str, int]) -> Iterator[Finding]:
    """Check that config.toml lists the root of every row."""
    repair = REPAIR if context.lists_roots else "localembed index FOLDER"
    for root_id in sorted(stored.keys() - context.roots.keys() - context.forgotten):
        files = counted(stored[root_id], "file")
        text = (
            f"{files} of the root {root_id}, which config.toml does not list; queries do not show "
            "them. To continue with the root: localembed index FOLDER"
        )
        documents = documents_of(context.layout, root_id)
        yield wrong("roots", text, repair, tuple(show_path(d.path) for d in documents))


def _disagreement(
    context: CheckContext, name: str, entry: TableHead, documents: frozenset[bytes]
) -> str:
    """Return how the manifest and the rows differ, if it describes this version of them."""
    records, mark = Manifest(context.layout, read_only=True).load(name)
    if mark is None or mark.lance_version != entry.lance_version:
        return ""
    listed = {record.doc_id for record in records.values() if record.n_chunks}
    lost, unknown = len(listed - documents), len(documents - listed)
    if not lost and not unknown:
        return ""
    return f"The manifest lists {lost} documents without rows and lacks {unknown} with rows"


def _vectors(context: CheckContext, label: str, table: Inspection) -> Finding:
    census = table.vectors(None if context.deep else _SAMPLE_ROWS)
    what = f"{census.seen:,} vectors of {label}"
    if census.unusable:
        return wrong(
            "vectors", f"{census.unusable} of {what} are zero or not finite", context.repair
        )
    if census.missing:
        text = f"{census.missing} of {what} are missing: their texts could not be embedded"
        return note("vectors", text)
    sample = "" if context.deep else " (a sample; to check all: --deep)"
    return ok("vectors", f"{what} are finite and nonzero{sample}")


def _indexes(label: str, table: Inspection) -> Iterator[Finding]:
    rows = max(1, table.count())
    indexes = {index.column: index for index in table.indexes()}
    text = indexes.get("search_text")
    if text is None:
        yield wrong("text index", f"{label} has no text index: --mode text finds nothing", REPAIR)
    else:
        table.find("the")
        unindexed = f"{text.outside:,} of {rows:,} chunks are not in it"
        if text.outside / rows > _MAX_UNINDEXED_SHARE and text.outside > _SAMPLE_ROWS:
            yield note("text index", f"{unindexed}: queries take longer", REFRESH)
        else:
            yield ok("text index", f"It can be searched; {unindexed}")
    vector = indexes.get("vector")
    if vector is not None:
        yield ok("vector index", f"{vector.outside:,} of {rows:,} chunks are not in it")


def _shown(context: CheckContext, root_id: str, path: bytes) -> str:
    root = context.roots.get(root_id, b"")
    return show_path(os.path.join(root, path) if path else root)  # noqa: PTH118 - bytes
