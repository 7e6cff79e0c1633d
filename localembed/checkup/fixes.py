"""Fix what can be fixed without loss; the next run embeds removed documents again."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

from localembed.checkup.finding import CheckContext
from localembed.checkup.table_checks import affected_documents, damaged_files
from localembed.core.text import counted
from localembed.errors import WorkspaceError
from localembed.pipeline.run import remove_documents
from localembed.search.calibrations import are_readable
from localembed.store import heartbeat, runs
from localembed.store.head import Head, facts_of, publish_head, read_head
from localembed.store.lance.disk_names import newest_version
from localembed.store.lance.inspection import Inspection
from localembed.store.lance.repair import drop_broken_indexes, drop_broken_versions, drop_unreadable
from localembed.store.lance.table import ChunkTable
from localembed.store.layout import Layout
from localembed.store.manifest import Manifest, TableMark
from localembed.store.misplaced import misplaced, set_aside
from localembed.store.modes import loose_paths, tighten_workspace
from localembed.store.versions import head_from_runs, read_tags, read_versions, tag
from localembed.types.documents import FileRecord
from localembed.types.tables import TableHead


def fix_modes(layout: Layout) -> Iterator[str]:
    """Take all rights of other users from the workspace's files."""
    before = len(loose_paths(layout))
    tighten_workspace(layout)
    if fixed := before - len(loose_paths(layout)):
        yield f"Made {counted(fixed, 'path')} accessible to you alone"


def fix_places(layout: Layout) -> Iterator[str]:
    """Set aside what has the wrong kind inside the tables; the writer lock did so elsewhere."""
    for path in misplaced(layout, deep=True):
        set_aside(layout, path)
        yield f"Set {path.relative_to(layout.folder)} aside: it was of the wrong kind"


def fix_head(layout: Layout) -> Iterator[str]:
    """Rebuild a head.json that cannot be read, from the records of runs.

    Yields a sentence for each action. The caller holds the writer lock.
    """
    try:
        head = read_head(layout)
    except WorkspaceError:
        set_aside(layout, layout.head)
        head = Head()
        yield "Set head.json aside: it could not be read"
    if not head.tables and (found := head_from_runs(layout)).tables:
        publish_head(layout, found)
        yield f"Published {counted(len(found.tables), 'table')} from the records of runs"


def fix_manifest(layout: Layout) -> Iterator[str]:
    """Set aside a manifest that cannot be read, so that the next run rebuilds it from the rows."""
    if Manifest(layout, read_only=True).problem() is None:
        return
    if layout.manifest.exists():
        Manifest(layout).set_aside()
        yield "Set the manifest aside; the next run rebuilds it from the rows"
    elif read_head(layout).tables:
        yield "Found no manifest; the next run rebuilds it from the rows"


def fix_records(layout: Layout) -> Iterator[str]:
    """Set aside records of runs, tags and calibrations that cannot be read."""
    for number in runs.claimed(layout):
        if runs.read_run(layout, number) is None:
            set_aside(layout, layout.runs / f"{number}.json")
            yield f"Set runs/{number}.json aside: its version can no longer be restored"
    try:
        read_tags(layout)
    except WorkspaceError:
        set_aside(layout, layout.tags)
        yield "Set the tags aside: they could not be read"
    if not are_readable(layout):
        set_aside(layout, layout.calibrations)
        yield "Set the calibrations aside. Run: localembed eval --calibrate QUESTIONS"


def fix_tags(layout: Layout) -> Iterator[str]:
    """Remove the tags of versions that are lost."""
    present = {version.run for version in read_versions(layout)}
    for name, run in read_tags(layout).items():
        if run not in present:
            tag(layout, name, None)
            yield f"Removed the tag {name}: its version is lost"


def fix_table(context: CheckContext, name: str, entry: TableHead, keep: int) -> Iterator[str]:
    """Remove damaged data from a table, and update head.json and the manifest to match."""
    folder = context.layout.table(name)
    if _is_another(folder, entry):
        target = set_aside(context.layout, folder)
        yield f"Moved the table to {target}: it is not the one that head.json describes"
    damaged = damaged_files(context, name) if folder.exists() else {}
    documents = affected_documents(context, name, damaged) if damaged else ()
    with heartbeat.at_risk(context.layout):
        if damaged:
            yield from _remove_damaged(context.layout, folder, set(damaged))
            yield f"Removed {counted(len(documents), 'document')}; the next run embeds them again"
        if newest_version(folder):
            yield from _drop_unusable(folder, name, context.layout)
        # A mark that matches no table: the manifest is rebuilt from the rows.
        Manifest(context.layout).commit(name, mark=TableMark("", 0))
        facts = facts_of(name, entry)
        remove_documents(context.layout, facts, lambda _: False, keep, lambda *_: None)
    yield f"Updated head.json and the manifest to match the rows of {entry.model}"


def _is_of(root_ids: Collection[str], record: FileRecord) -> bool:
    return record.root_id in root_ids


def _is_another(folder: Path, entry: TableHead) -> bool:
    """Tell whether a table was replaced by another one of the same name."""
    try:
        return Inspection(folder).uuid != entry.uuid
    except WorkspaceError:
        return False


def fix_roots(context: CheckContext, keep: int) -> Iterator[str]:
    """Remove the documents of roots that were taken out of config.toml from every table.

    If the whole file was lost, nothing is removed.
    """
    if not context.lists_roots:
        return
    known = context.roots.keys() | context.forgotten
    for name, entry in read_head(context.layout).tables.items():
        facts = facts_of(name, entry)
        stored = Inspection(context.layout.table(name), entry.lance_version).rows().roots
        if unknown := stored.keys() - known:
            of_unknown = partial(_is_of, unknown)
            remove_documents(context.layout, facts, of_unknown, keep, lambda *_: None)
            files = counted(sum(stored[root_id] for root_id in unknown), "file")
            yield f"Removed {files} of roots that config.toml does not list from {entry.model}"


def _remove_damaged(layout: Layout, folder: Path, damaged: set[str]) -> Iterator[str]:
    for name in sorted(damaged):
        if (folder / name).exists():
            target = set_aside(layout, folder / name)
            yield f"Moved {name} to {target.parent}"
    try:
        drop_unreadable(folder, damaged)
    except WorkspaceError:
        target = set_aside(layout, folder)
        yield f"Moved the whole table to {target}: it cannot be opened"
        return
    if drop_broken_indexes(folder, damaged):
        yield "Dropped indexes that lost a file; they will be rebuilt"
    if broken := drop_broken_versions(folder, damaged):
        yield f"Dropped {counted(len(broken), 'version')} that lost a file"


def _drop_unusable(folder: Path, name: str, layout: Layout) -> Iterator[str]:
    table = ChunkTable.open(layout, name)
    documents = Inspection(folder).vectors().documents
    if documents:
        table.delete(documents)
        yield f"Removed {counted(len(documents), 'document')} with unusable vectors"
    table.maintenance.ensure_text_index()
