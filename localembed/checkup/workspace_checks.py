"""Check the folder of a workspace: its lock, its disk, its small files and leftovers."""

from __future__ import annotations

import os
from collections.abc import Iterator

from localembed.checkup.finding import REFRESH, REPAIR, CheckContext, note, ok, wrong
from localembed.core.text import counted
from localembed.errors import LocalembedError, LockedError, StorageError
from localembed.search.calibrations import are_readable
from localembed.store import heartbeat, runs
from localembed.store.crash_recovery import tables_on_disk
from localembed.store.disk import check_hard_links, file_system, free_bytes
from localembed.store.fsync import files_below
from localembed.store.lance.disk_names import is_written_once
from localembed.store.manifest import Manifest
from localembed.store.misplaced import misplaced
from localembed.store.modes import loose_paths
from localembed.store.versions import head_from_runs, read_tags, read_versions
from localembed.types.findings import Finding

_MIN_FREE_BYTES = 256 << 20
_GIB = 1 << 30


def check_lock(context: CheckContext) -> Iterator[Finding]:
    """Check whether a run is in progress, and whether the last run finished."""
    holder = heartbeat.current(context.layout)
    last = heartbeat.last(context.layout)
    if holder:
        yield note("lock", f"Run {holder.get('run')} is in progress (process {holder.get('pid')})")
    elif last is None or (last.ended and last.durable):
        yield ok("lock", "No run is in progress; the last run finished")
    else:
        yield note("lock", "The last run was interrupted; the next one continues it", REFRESH)


def check_disk(context: CheckContext) -> Iterator[Finding]:
    """Check whether the disk can hold a workspace and has enough free space."""
    folder = context.layout.folder
    free = free_bytes(folder)
    system = file_system(folder)
    space = f"{free / _GIB:,.1f} GiB free" + (f" on {system}" if system else "")
    if not os.access(folder, os.W_OK) or os.statvfs(folder).f_flag & os.ST_RDONLY:
        yield note("disk", f"{space}; it is read-only: queries work, but nothing can be indexed")
        return
    try:
        check_hard_links(folder)
    except StorageError as error:
        yield wrong("disk", str(error))
        return
    if free < max(_MIN_FREE_BYTES, context.layout.disk_bytes() // 4):
        text = f"{space}: a run may run out of space. Free some space"
        yield note("disk", text, "localembed versions gc")
    else:
        yield ok("disk", f"{space}; hard links work")


def check_modes(context: CheckContext) -> Iterator[Finding]:
    """Check whether only the owner may access the workspace."""
    found = tuple(loose_paths(context.layout))
    if not found or context.busy:
        return
    text = f"The modes of {counted(len(found), 'path')} allow other users to access them"
    last = heartbeat.last(context.layout)
    if last is not None and not last.ended and str(context.layout.folder) not in found:
        # Files that Lance and DuckDB were writing; the folder of the workspace protects them.
        yield note("modes", text, REFRESH, found)
    else:
        yield wrong("modes", text, REPAIR, found)


def check_places(context: CheckContext) -> Iterator[Finding]:
    """Check for folders in place of files, files in place of folders, and links to nothing."""
    if found := tuple(str(path) for path in misplaced(context.layout, deep=True)):
        yield wrong("places", f"{len(found)} of the workspace's files are none", REPAIR, found)


def check_head(context: CheckContext) -> Iterator[Finding]:
    """Check whether the tables that head.json names exist."""
    named = set(context.head.tables)
    present = {folder.stem for folder in tables_on_disk(context.layout)}
    lost = sorted(named - present)
    if lost:
        yield wrong("head", f"head.json names tables that do not exist: {', '.join(lost)}", REPAIR)
    elif not named and head_from_runs(context.layout).tables:
        yield wrong("head", "head.json names no table, but runs have recorded some", REPAIR)
    elif present - named and not context.busy:
        unnamed = ", ".join(sorted(present - named))
        yield note("head", f"A table is not completely built yet: {unnamed}", REFRESH)
    else:
        yield ok("head", f"head.json names {len(named)} table{'s' * (len(named) != 1)}")


def check_runs(context: CheckContext) -> Iterator[Finding]:
    """Check whether the records of runs can be read."""
    layout = context.layout
    numbers = sorted(runs.claimed(layout))
    broken = tuple(f"runs/{n}.json" for n in numbers if runs.read_run(layout, n) is None)
    if broken:
        yield wrong("runs", "Some records of runs cannot be read", REPAIR, broken)
    else:
        yield ok("runs", f"{len(numbers)} recorded")


def check_tags(context: CheckContext) -> Iterator[Finding]:
    """Check whether tags can be read, and the versions that they name exist."""
    try:
        tags = read_tags(context.layout)
    except StorageError as error:
        yield wrong("tags", str(error), REPAIR)
        return
    present = {version.run for version in read_versions(context.layout)}
    missing = sorted(name for name, run in tags.items() if run not in present)
    if missing:
        yield wrong("tags", f"The versions of these tags are lost: {', '.join(missing)}", REPAIR)


def check_calibrations(context: CheckContext) -> Iterator[Finding]:
    """Check whether the weights for the confidence of hits can be read."""
    if not are_readable(context.layout):
        text = "The calibrations cannot be read: queries use those of the package, if there are any"
        yield wrong("calibrations", text, REPAIR)


def check_manifest(context: CheckContext) -> Iterator[Finding]:
    """Check whether the manifest can be read."""
    if not context.head.tables and not context.layout.manifest.exists():
        yield ok("manifest", "There is none yet: nothing is indexed")
        return
    try:
        problem = Manifest(context.layout, read_only=True).problem()
    except LockedError as error:
        yield note("manifest", str(error))
        return
    if problem is None:
        yield ok("manifest", "All records can be read")
    else:
        yield wrong(
            "manifest", f"{problem}. It is rebuilt from the rows without embedding", REFRESH
        )


def check_leftovers(context: CheckContext) -> Iterator[Finding]:
    """Check for files that are not needed."""
    layout = context.layout
    aside = [path for path in (layout.damaged, *layout.folder.glob("*.damaged")) if path.exists()]
    if aside:
        broken = tuple(str(path) for path in aside)
        text = "Damaged files were set aside; inspect them, then remove them"
        yield note("leftovers", text, "", broken)
    if context.busy:
        return
    found: list[str] = []
    for folder in tables_on_disk(layout):
        try:
            known = Manifest(layout, read_only=True).stored_files(folder.stem)
        except LocalembedError:
            continue  # the manifest has a check of its own
        names = [name for name in files_below(folder) if is_written_once(name)]
        found += [f"{folder.name}/{name}" for name in names if name not in known and known]
    if found:
        text = f"{len(found)} files of interrupted runs; the next clean-up deletes them"
        yield note("leftovers", text, "localembed versions gc", tuple(found))
    elif not aside:
        yield ok("leftovers", "None")
