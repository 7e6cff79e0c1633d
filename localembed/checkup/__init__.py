"""Check a workspace and repair it: `localembed doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from localembed.checkup.finding import REPAIR, CheckContext, wrong
from localembed.checkup.fixes import (
    fix_head,
    fix_manifest,
    fix_modes,
    fix_places,
    fix_records,
    fix_roots,
    fix_table,
    fix_tags,
)
from localembed.checkup.model_checks import check_model
from localembed.checkup.offline_checks import check_offline
from localembed.checkup.table_checks import check_table
from localembed.checkup.workspace_checks import (
    check_calibrations,
    check_disk,
    check_head,
    check_leftovers,
    check_lock,
    check_manifest,
    check_modes,
    check_places,
    check_runs,
    check_tags,
)
from localembed.core.text import counted
from localembed.errors import StorageError
from localembed.store import heartbeat
from localembed.store.head import read_head
from localembed.store.lock import writer_lock
from localembed.store.misplaced import misplaced
from localembed.types.events import EventListener, ignore_event
from localembed.types.findings import Checkup, Finding
from localembed.workspace import config_file
from localembed.workspace.value_checks import check_flags, check_kind, check_listeners

if TYPE_CHECKING:
    from localembed.workspace.workspace import Workspace

__all__ = ["doctor", "examine", "fix", "prove_offline"]


def examine(context: CheckContext) -> Iterator[Finding]:
    """Yield the findings, each check after those it depends on; nothing is written.

    Args:
        context: the workspace; its `head` is read here.
    """
    yield from check_lock(context)
    yield from check_disk(context)
    yield from check_modes(context)
    yield from check_places(context)
    yield from check_runs(context)
    try:
        context = replace(context, head=read_head(context.layout))
    except StorageError as error:
        yield wrong("head", str(error), REPAIR)
        return
    yield from check_head(context)
    yield from check_tags(context)
    yield from check_calibrations(context)
    yield from check_manifest(context)
    broken = misplaced(context.layout, deep=True)
    tables = {
        name: entry
        for name, entry in context.head.tables.items()
        if not any(path.is_relative_to(context.layout.table(name)) for path in broken)
    }
    for name, entry in tables.items():
        yield from check_table(context, name, entry)
    for name, entry in tables.items():
        yield from check_model(context, name, entry)
    yield from check_leftovers(context)


def fix(context: CheckContext, keep: int) -> Iterator[str]:
    """Fix what can be fixed without loss, and yield what was done. The caller holds the lock.

    Args:
        context: the workspace; `deep` also detects damage that only reading files shows.
        keep: number of versions that a clean-up keeps.
    """
    yield from fix_places(context.layout)
    yield from fix_head(context.layout)
    yield from fix_records(context.layout)
    yield from fix_manifest(context.layout)
    context = replace(context, head=read_head(context.layout))
    for name, entry in context.head.tables.items():
        # Do not repair what an interrupted run left: the next run completes or removes it.
        wrong = [f for f in check_table(context, name, entry) if f.verdict == "wrong"]
        if any(found.check != "roots" for found in wrong):
            yield from fix_table(context, name, entry, keep)
    yield from fix_roots(context, keep)
    yield from fix_tags(context.layout)


def doctor(
    workspace: Workspace,
    *,
    deep: bool = False,
    repair: bool = False,
    on_event: EventListener = ignore_event,
) -> Checkup:
    """Check everything in a workspace; without `repair` nothing is written.

    Args:
        workspace: the workspace to check.
        deep: read every file and vector, not only a sample.
        repair: first fix what can be fixed without loss, and embed again what was lost.
        on_event: called for each step of the run that embeds again (see `Workspace.index`).

    Raises:
        UsageError: a value is of another type.
        NotIndexedError: there is no workspace.
        LockedError: `repair` was requested, and another process is writing.
    """
    _check_workspace(workspace)
    check_flags(deep=deep, repair=repair)
    check_listeners(on_event=on_event)
    workspace.ensure_exists()
    layout, settings = workspace.layout, workspace.settings.settings
    roots = {root.root_id: root.path for root in workspace.roots}
    busy = heartbeat.current(layout) is not None
    context = CheckContext(
        layout=layout,
        settings=settings,
        roots=roots,
        forgotten=config_file.read_forgotten(layout),
        lists_roots=config_file.is_whole(layout),
        deep=deep,
        busy=busy,
    )
    fixed: tuple[str, ...] = ()
    if repair:
        aside = [path.name for path in misplaced(layout)]
        with writer_lock(layout):
            modes = tuple(fix_modes(layout))
            fixed = tuple(f"Set {name} aside: it was of the wrong kind" for name in aside)
            fixed += tuple(fix(replace(context, busy=False), settings.keep_versions))
        if fixed and roots:
            embedded = counted(workspace.index(on_event=on_event).chunks.embedded, "chunk")
            fixed = (*fixed, f"Embedded {embedded} again")
        fixed = (*modes, *fixed)
    return Checkup(tuple(examine(context)), fixed)


def prove_offline(workspace: Workspace) -> Checkup:
    """Embed a text and query the index while the offline guard refuses Python's connections.

    The guard stays active afterwards, for the whole process.

    Raises:
        UsageError: `workspace` is none.
    """
    _check_workspace(workspace)
    return Checkup(tuple(check_offline(workspace)))


def _check_workspace(workspace: object) -> None:
    from localembed.workspace.workspace import Workspace

    check_kind("workspace", workspace, Workspace, "a localembed.Workspace")
