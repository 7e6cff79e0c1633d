"""Look whether a workspace is sound, and mend it: `localembed doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from localembed.checkup.finding import REPAIR, Patient, wrong
from localembed.checkup.fixes import mend_head, mend_manifest, mend_records, mend_table, mend_tags
from localembed.checkup.model_checks import check_model
from localembed.checkup.offline_checks import check_offline
from localembed.checkup.table_checks import check_table
from localembed.checkup.workspace_checks import (
    check_disk,
    check_head,
    check_leftovers,
    check_lock,
    check_manifest,
    check_runs,
    check_tags,
)
from localembed.core.text import counted
from localembed.errors import StorageError
from localembed.store import runs
from localembed.store.head import read_head
from localembed.store.lock import writer_lock
from localembed.types.findings import Checkup, Finding
from localembed.types.runs import Event, ignore_events

if TYPE_CHECKING:
    from localembed.workspace.workspace import Workspace

__all__ = ["doctor", "examine", "mend", "prove_offline"]


def examine(patient: Patient) -> Iterator[Finding]:
    """Yield the findings, what rests on least first; nothing is written.

    Args:
        patient: its `head` is read here.
    """
    yield from check_lock(patient)
    yield from check_disk(patient)
    yield from check_runs(patient)
    try:
        patient = replace(patient, head=read_head(patient.layout))
    except StorageError as error:
        yield wrong("head", str(error), REPAIR)
        return
    yield from check_head(patient)
    yield from check_tags(patient)
    yield from check_manifest(patient)
    for name, entry in patient.head.tables.items():
        yield from check_table(patient, name, entry)
    for name, entry in patient.head.tables.items():
        yield from check_model(patient, name, entry)
    yield from check_leftovers(patient)


def mend(patient: Patient, keep: int) -> Iterator[str]:
    """Mend what can be mended without loss, and say what was done. The caller holds the lock.

    Args:
        patient: with `deep`, files are known to be damaged that only their content tells.
        keep: how many versions a clean-up leaves.
    """
    yield from mend_head(patient.layout)
    yield from mend_records(patient.layout)
    yield from mend_manifest(patient.layout)
    patient = replace(patient, head=read_head(patient.layout))
    for name, entry in patient.head.tables.items():
        # What only a run that was cut off has left is finished by the next one, all or nothing.
        if any(found.verdict == "wrong" for found in check_table(patient, name, entry)):
            yield from mend_table(patient, name, entry, keep)
    yield from mend_tags(patient.layout)


def doctor(
    workspace: Workspace,
    *,
    deep: bool = False,
    repair: bool = False,
    on_event: Event = ignore_events,
) -> Checkup:
    """Look whether everything in a workspace is sound; without `repair` nothing is written.

    Args:
        workspace: what is looked at.
        deep: read every file and vector, not only a sample.
        repair: first mend what can be mended without loss, embedding again what was lost.
        on_event: told of each step of the run that embeds again (see `Workspace.index`).

    Raises:
        NotIndexedError: there is no workspace.
        LockedError: another process is writing, and something is to be repaired.
    """
    workspace.ensure_exists()
    layout, settings = workspace.layout, workspace.settings.settings
    roots = {root.root_id: root.path for root in workspace.roots}
    busy = runs.read_heartbeat(layout) is not None
    patient = Patient(layout, settings, roots, deep, busy)
    mended: tuple[str, ...] = ()
    if repair:
        with writer_lock(layout):
            mended = tuple(mend(replace(patient, busy=False), settings.keep_versions))
        if mended and roots:
            embedded = counted(workspace.index(on_event=on_event).chunks.embedded, "chunk")
            mended = (*mended, f"Embedded {embedded} again")
    return Checkup(tuple(examine(patient)), mended)


def prove_offline(workspace: Workspace) -> Checkup:
    """Embed a text and ask the index while Python's ways out of this machine are refused.

    They stay refused afterwards, for the whole process.
    """
    ask = partial(workspace.query, top_k=1)
    findings = check_offline(workspace.layout, workspace.settings.settings, ask)
    return Checkup(tuple(findings))
