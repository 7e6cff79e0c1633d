"""Trust a workspace: `localembed trust`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from localembed.core import ownership
from localembed.core.workspace_folder import (
    FOLDER_NAME,
    find_workspace,
    is_workspace,
    named_workspace,
)
from localembed.errors import NotIndexedError
from localembed.store.layout import Layout
from localembed.store.lock import writer_lock
from localembed.types.trust import Permission, TrustedWorkspace
from localembed.workspace import config_file, trust_records
from localembed.workspace.gate import check_links
from localembed.workspace.reach import ranked, reached, uncovered
from localembed.workspace.value_checks import check_paths


def locate(folder: Path | None) -> Layout:
    """Return the workspace in a folder, the folder itself if it is one, or the nearest one.

    Raises:
        NotIndexedError: there is none.
    """
    start = os.getcwd()  # noqa: PTH109 - a plain string
    if folder is None:
        found = named_workspace() or find_workspace(start)
        places = [Path(found)] if found else []
    else:
        place = folder.expanduser().absolute()
        places = [place / FOLDER_NAME, place]
    for place in places:
        if is_workspace(os.fspath(place)):
            return Layout(place)
    message = f"There is no workspace in {folder or start}. Run: localembed init"
    raise NotIndexedError(message)


def proposal(layout: Layout) -> tuple[Permission, ...]:
    """Return what trusting a workspace would allow that is not allowed yet.

    Raises:
        NotTrustedError: something in it is a link, which cannot be trusted.
    """
    check_links(layout)
    needed = set(reached(layout))
    folder = Path(os.path.realpath(layout.folder))
    current = Path.cwd()
    start = current if current.is_relative_to(folder.parent) else folder.parent
    if ownership.objection(str(folder), str(start)):
        needed.add(Permission("workspace", str(folder)))
    return ranked(uncovered(needed, trust_records.permissions_of(layout)))


def accept(layout: Layout, permissions: Sequence[Permission]) -> TrustedWorkspace:
    """Record that the user allows a workspace what was proposed; return all that it may do.

    Raises:
        StorageError: the records cannot be written.
    """
    if not permissions:
        allowed = ranked(trust_records.permissions_of(layout))
        return replace(trust_records.identify(layout), permissions=allowed)
    if os.access(layout.folder, os.W_OK):
        with writer_lock(layout):
            config_file.ensure_id(layout)
    return trust_records.allow(layout, permissions)


def trust(folder: str | os.PathLike[str] | None = None) -> TrustedWorkspace:
    """Allow a workspace what it reaches outside of its own folder; return all that it may do.

    Args:
        folder: the folder with the workspace, or the workspace itself; the nearest one if not
            given.

    Raises:
        UsageError: `folder` is no path.
        NotIndexedError: there is no workspace.
        NotTrustedError: something in it is a link, which cannot be trusted.
    """
    check_paths(() if folder is None else (folder,), "folder")
    layout = locate(None if folder is None else Path(folder))
    return accept(layout, proposal(layout))


def distrust(folder: str | os.PathLike[str] | None = None) -> int:
    """Forget everything that was allowed to a workspace; return how many things that were.

    Args:
        folder: as for `trust`; the workspace need not exist any more.

    Raises:
        UsageError: `folder` is no path.
        NotIndexedError: no folder is given, and there is no workspace.
    """
    check_paths(() if folder is None else (folder,), "folder")
    try:
        place = locate(None if folder is None else Path(folder)).folder
    except NotIndexedError:
        if folder is None:
            raise
        place = Path(folder).expanduser().absolute()
        return trust_records.withdraw(place) or trust_records.withdraw(place / FOLDER_NAME)
    return trust_records.withdraw(place)
