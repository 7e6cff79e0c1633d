"""One table: do head.json, Lance and the manifest say the same, and is every row sound?"""

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
from localembed.store.lance.connection import newest_version, versions_on_disk
from localembed.store.lance.inspection import Inspection
from localembed.store.lance.links import linked_view
from localembed.store.lance.repair import drop_unreadable, is_needed
from localembed.store.manifest import Manifest
from localembed.types.findings import Finding
from localembed.types.tables import TableHead

_SAMPLE = 1_000
_SLACK = 0.25
"""The share of rows outside an index that is worth a word."""


def check_table(context: CheckContext, name: str, entry: TableHead) -> Iterator[Finding]:
    """Yield what is found of one table, in the order of what rests on what."""
    folder = context.layout.table(name)
    label = entry.model
    if not folder.is_dir():
        return  # said of head.json already
    damaged = damaged_files(context, name)
    yield _files(context, name, damaged)
    yield _versions(context, name, entry)
    try:
        table = Inspection(folder, entry.lance_version)
        yield from _rows(context, name, entry, table)
        yield _vectors(context, label, table)
        yield from _indexes(label, table)
    except WorkspaceError as error:
        yield wrong("rows", f"{label}: {error}", REPAIR)


def damaged_files(context: CheckContext, name: str) -> dict[str, str]:
    """Return which files of a table are not what was written: name → what is wrong with it."""
    folder = context.layout.table(name)
    known = Manifest(context.layout, read_only=True).stored_files(name)
    found = {file.name: why for file in known.values() if (why := _damage(folder, file, context))}
    gone = {file for file, why in found.items() if why == "gone"}
    if gone and (context.busy or not is_needed(folder, gone, context.head.tables[name])):
        # A clean-up that is going on, or that was cut off, has taken them.
        return {file: why for file, why in found.items() if file not in gone}
    return found


def affected_documents(
    context: CheckContext, name: str, damaged: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the paths of the documents that lose rows when damaged files are left out."""
    records, _ = Manifest(context.layout, read_only=True).load(name)
    with tempfile.TemporaryDirectory(prefix="localembed-") as place:
        folder = linked_view(context.layout.table(name), damaged, Path(place))
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
            return "of another size"
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
        return note("files", "The manifest knows no digests of the table's files", REFRESH)
    if not damaged:
        how = "read and unchanged" if context.deep else "there (their content: --deep)"
        return ok("files", f"{len(known)} files of the table are {how}")
    documents = affected_documents(context, name, damaged)
    broken = tuple(f"{file}: {why}" for file, why in sorted(damaged.items()))
    cost = counted(len(documents), "document")
    text = f"Damaged: {len(damaged)} of the table's {len(known)} files; this costs {cost}"
    return wrong("files", text, context.repair, (*broken, *documents))


def _versions(context: CheckContext, name: str, entry: TableHead) -> Finding:
    """Compare what head.json, Lance and the manifest take for the newest version."""
    folder = context.layout.table(name)
    newest = newest_version(folder)
    if context.busy:
        return note("versions", "A run is writing a newer version")
    mark = Manifest(context.layout, read_only=True).marks().get(name)
    if entry.lance_version not in versions_on_disk(folder):
        text = f"head.json names version {entry.lance_version}, which is gone"
        return wrong("versions", text, REPAIR)
    if mark is None:
        return note("versions", "The manifest does not know the table", REFRESH)
    if not mark.lance_version == newest == entry.lance_version:
        text = f"head.json is at {entry.lance_version}, the manifest at {mark.lance_version}, "
        return note("versions", f"{text}Lance at {newest}: a run was cut off", REFRESH)
    return ok("versions", f"head.json, manifest and Lance agree on version {newest}")


def _rows(
    context: CheckContext, name: str, entry: TableHead, table: Inspection
) -> Iterator[Finding]:
    census = table.rows()
    if census.duplicates:
        yield wrong("rows", f"{counted(census.duplicates, 'chunk')} stored twice", REPAIR)
    elif census.incomplete:
        paths = tuple(_shown(context, *document) for document in census.incomplete)
        yield wrong("rows", f"{counted(len(paths), 'document')} without all rows", REPAIR, paths)
    elif census.rows != entry.chunks:
        text = f"There are {census.rows:,} chunks, head.json says {entry.chunks:,}"
        yield wrong("rows", text, REPAIR)
    elif text := _disagreement(context, name, entry, census.documents):
        yield wrong("rows", text, REPAIR)
    else:
        documents = counted(len(census.documents), "document")
        yield ok("rows", f"{counted(census.rows, 'chunk')} of {documents}, each once")


def _disagreement(
    context: CheckContext, name: str, entry: TableHead, documents: frozenset[bytes]
) -> str:
    """Return where the manifest says something else than the rows, if it speaks of these."""
    records, mark = Manifest(context.layout, read_only=True).load(name)
    if mark is None or mark.lance_version != entry.lance_version:
        return ""
    claimed = {record.doc_id for record in records.values() if record.n_chunks}
    lost, unknown = len(claimed - documents), len(documents - claimed)
    if not lost and not unknown:
        return ""
    return f"The manifest claims {lost} documents without rows and misses {unknown} with rows"


def _vectors(context: CheckContext, label: str, table: Inspection) -> Finding:
    census = table.vectors(None if context.deep else _SAMPLE)
    what = f"{census.seen:,} vectors of {label}"
    if census.unusable:
        return wrong(
            "vectors", f"{census.unusable} of {what} are not finite or zero", context.repair
        )
    if census.missing:
        text = f"{census.missing} of {what} are missing: their texts could not be embedded"
        return note("vectors", text)
    sample = "" if context.deep else " (a sample; all: --deep)"
    return ok("vectors", f"{what} are finite and not zero{sample}")


def _indexes(label: str, table: Inspection) -> Iterator[Finding]:
    rows = max(1, table.count())
    indexes = {index.column: index for index in table.indexes()}
    text = indexes.get("search_text")
    if text is None:
        yield wrong("text index", f"There is none for {label}: --mode text finds nothing", REPAIR)
    else:
        table.find("the")
        behind = text.outside / rows
        said = f"{text.outside:,} of {rows:,} chunks stand outside it"
        if behind > _SLACK and text.outside > _SAMPLE:
            yield note("text index", f"{said}: queries take longer", REFRESH)
        else:
            yield ok("text index", f"It answers; {said}")
    vector = indexes.get("vector")
    if vector is not None:
        yield ok("vector index", f"{vector.outside:,} of {rows:,} chunks stand outside it")


def _shown(context: CheckContext, root_id: str, path: bytes) -> str:
    root = context.roots.get(root_id, b"")
    return show_path(os.path.join(root, path) if path else root)  # noqa: PTH118 - bytes
