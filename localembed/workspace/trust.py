"""The gate before a workspace is read: whose it is, and what it reaches outside.

A workspace may have come with a folder from another user. What it reaches outside of its own parent
folder is refused until the user names it on a command line or trusts the workspace.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from localembed import models
from localembed.core import ownership, user_folders
from localembed.core.text import show_path
from localembed.core.workspace_folder import (
    FOLDER_NAME,
    find_workspace,
    is_workspace,
    named_workspace,
)
from localembed.errors import (
    NotIndexedError,
    NotTrustedError,
    RegistryError,
    StorageError,
    WorkspaceError,
)
from localembed.store.head import read_head
from localembed.store.layout import Layout
from localembed.store.lock import writer_lock
from localembed.types.documents import Root
from localembed.types.models import ModelSpec
from localembed.types.trust import Permission, Reached, TrustedWorkspace
from localembed.workspace import config_file, trust_records

_BELOW: frozenset[Reached] = frozenset({"root", "hidden", "no_ignore"})
"""Kinds of permissions for a folder that hold for what is below it, too."""
_SEPARATOR = os.sep.encode()
_VALID_SECONDS = 1.0
"""How long a workspace that passed is not examined again: one command asks several times."""
_LABELS: Mapping[Reached, str] = {
    "workspace": "the folder {}, which other users could change",
    "root": "the root {}",
    "hidden": "hidden files in {}",
    "no_ignore": "ignored files in {}",
    "model": "the remote model {}",
}


class Gate:
    """What stands before everything that is read of one workspace."""

    def __init__(self, layout: Layout) -> None:
        """Set the workspace; nothing is read yet."""
        self._layout = layout
        self._named: set[Permission] = set()
        """What the user named in this process."""
        self._passed: tuple[object, ...] = ()
        self._passed_at = 0.0

    def name_roots(
        self, paths: Iterable[str | os.PathLike[str]], options: Mapping[str, object]
    ) -> None:
        """Allow the roots that the user named, with the options that were given for them."""
        self._named |= permissions_for(paths, options)

    def check(self, also: frozenset[Permission] = frozenset()) -> None:
        """Refuse a workspace with links, or one that reaches what the user has not allowed.

        Args:
            also: what this call alone may reach.

        Raises:
            NotTrustedError: it is refused; the message names what, and how to allow it.
        """
        state = self._state()
        is_recent = time.monotonic() - self._passed_at < _VALID_SECONDS
        if not self._layout.exists() or (is_recent and state == self._passed):
            return
        check_links(self._layout)
        needed = set(reached(self._layout))
        missing = _uncovered(needed, self._named | also)
        if missing:
            missing = _uncovered(missing, trust_records.permissions_of(self._layout))
        if missing:
            message = (
                f"{self._layout.folder} reaches outside of its own folder: "
                f"{'; '.join(map(describe, _ranked(missing)))}. If that is what you want, run: "
                f"localembed trust {self._layout.folder}"
            )
            raise NotTrustedError(message)
        if not also:
            self._passed, self._passed_at = state, time.monotonic()

    def _state(self) -> tuple[object, ...]:
        """Return what changes with the folder and the files that `check` reads."""
        layout = self._layout
        found: list[object] = []
        for path in (layout.folder, layout.config, layout.head, layout.models):
            try:
                status = os.lstat(path)
            except OSError:
                found.append(None)
            else:
                found.append((status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode))
        return tuple(found)

    def remember(self, spec: ModelSpec | None = None) -> None:
        """Record what the user named outside of the workspace. The caller holds the writer lock.

        Args:
            spec: the model that the user chose, if that is what the command is about.

        Raises:
            StorageError: the records cannot be written.
        """
        place = _parent(self._layout)
        outside = {p for p in self._named if not _is_inside(os.fsencode(p.value), place)}
        chosen = outside | set(_remote([spec] if spec else []))
        if not chosen or _is_own(self._layout):
            return
        if new := _uncovered(chosen, trust_records.permissions_of(self._layout)):
            config_file.ensure_id(self._layout)
            trust_records.allow(self._layout, new)

    def withdraw(self, root: Root) -> None:
        """Forget that the user allowed a root."""
        gone = permissions_for([os.fsdecode(root.path)], {"hidden": True, "no_ignore": True})
        self._named -= gone
        self._passed = ()
        trust_records.withdraw(self._layout.folder, gone)


def discover(start: str | None = None, named: str | None = None) -> Path:
    """Return the folder of the workspace that a command uses.

    Args:
        start: absolute path of the folder in which the search begins; None for the current one.
        named: absolute path of the workspace itself; None for `LOCALEMBED_WORKSPACE`, empty if none
            is named.

    Raises:
        NotTrustedError: the nearest one above the current folder may be another user's.
    """
    named = named_workspace() if named is None else named
    if named:
        return Path(named)
    start = start or os.getcwd()  # noqa: PTH109 - a plain string
    found = find_workspace(start)
    if found is None:
        return user_folders.user_workspace()
    reason = ownership.objection(found, start)
    if reason and not _is_allowed(Layout(Path(found))):
        message = (
            f"{found} is not used: {reason}. Another user could read your text there, or replace "
            f"it. To use it anyway: --workspace {found}, or run: localembed trust {found}"
        )
        raise NotTrustedError(message)
    return Path(found)


def check_links(layout: Layout) -> None:
    """Refuse a workspace in which something is a link or a device: it could lead anywhere.

    Raises:
        NotTrustedError: something is.
        StorageError: a folder in it cannot be read.
    """
    try:
        reason = ownership.foreign_entry(os.fspath(layout.folder), deep=False)
    except OSError as error:
        message = (
            f"{error.filename} cannot be read: {error.strerror}. Fix its permissions, or run the "
            "command as its owner."
        )
        raise StorageError(message) from error
    if reason:
        message = f"{reason}, so the workspace is not used. Remove it, or make a new workspace."
        raise NotTrustedError(message)


def reached(layout: Layout) -> Iterator[Permission]:
    """Yield what a workspace reaches outside of its own parent folder.

    Raises:
        UsageError: config.toml cannot be read or has an unknown key.
    """
    if _is_own(layout):
        return
    place = _parent(layout)
    for root in config_file.read_roots(layout):
        if not _is_inside(os.path.realpath(root.path), place):
            options = {"hidden": root.hidden or None, "no_ignore": root.no_ignore or None}
            yield from permissions_for([os.fsdecode(root.path)], options)
    yield from _remote(_models(layout))


def permissions_for(
    paths: Iterable[str | os.PathLike[str]], options: Mapping[str, object]
) -> frozenset[Permission]:
    """Return the permissions that roots need.

    Args:
        paths: the roots.
        options: `hidden` and `no_ignore`; None where it is not given.
    """
    kinds: list[Reached] = ["root"]
    kinds += [kind for kind in ("hidden", "no_ignore") if options.get(kind) is not None]
    places = [os.path.realpath(path) for path in paths]
    return frozenset(Permission(kind, place) for place in places for kind in kinds)


def describe(permission: Permission) -> str:
    """Return a permission in words."""
    return _LABELS[permission.kind].format(show_path(os.fsencode(permission.value)))


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
    folder = os.path.realpath(layout.folder)
    if ownership.objection(folder, os.path.dirname(folder)):  # noqa: PTH120 - a plain string
        needed.add(Permission("workspace", folder))
    return _ranked(_uncovered(needed, trust_records.permissions_of(layout)))


def accept(layout: Layout, permissions: Sequence[Permission]) -> TrustedWorkspace:
    """Record that the user allows a workspace what was proposed; return all that it may do.

    Raises:
        StorageError: the records cannot be written.
    """
    if not permissions:
        allowed = _ranked(trust_records.permissions_of(layout))
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
        NotIndexedError: there is no workspace.
        NotTrustedError: something in it is a link, which cannot be trusted.
    """
    layout = locate(None if folder is None else Path(folder))
    return accept(layout, proposal(layout))


def distrust(folder: str | os.PathLike[str] | None = None) -> int:
    """Forget everything that was allowed to a workspace; return how many things that were.

    Args:
        folder: as for `trust`; the workspace need not exist any more.
    """
    try:
        place = locate(None if folder is None else Path(folder)).folder
    except NotIndexedError:
        if folder is None:
            raise
        place = Path(folder).expanduser().absolute()
        return trust_records.withdraw(place) or trust_records.withdraw(place / FOLDER_NAME)
    return trust_records.withdraw(place)


def _is_allowed(layout: Layout) -> bool:
    """Tell whether the user allowed a workspace that other users could change."""
    wanted = Permission("workspace", os.path.realpath(layout.folder))
    if not any(wanted in known.permissions for known in trust_records.trusted_workspaces()):
        return False
    check_links(layout)
    return wanted in trust_records.permissions_of(layout)


def _is_own(layout: Layout) -> bool:
    """Tell whether this is the user-wide workspace, unless it was installed from a bundle."""
    own = user_folders.user_workspace()
    if os.path.realpath(layout.folder) != os.path.realpath(own):
        return False
    known = trust_records.record_of(layout)
    return known is None or not known.is_installed


def _models(layout: Layout) -> list[ModelSpec]:
    """Return the specs of the models that a workspace names; unknown ones cannot be used."""
    try:
        names = {entry.model for entry in read_head(layout).tables.values()}
    except WorkspaceError:  # no table can be opened
        names = set()
    try:
        specs = models.load_specs(layout)
    except RegistryError:  # no model can be opened
        return []
    names |= {name for name in [config_file.read_model(layout)] if name}
    return [specs[name] for name in sorted(names) if name in specs]


def _remote(specs: Iterable[ModelSpec]) -> Iterator[Permission]:
    return (Permission("model", spec.name) for spec in specs if spec.remote is not None)


def _ranked(permissions: Iterable[Permission]) -> tuple[Permission, ...]:
    return tuple(sorted(permissions, key=lambda permission: permission.rank))


def _uncovered(needed: set[Permission], allowed: Iterable[Permission]) -> set[Permission]:
    """Return the permissions that no allowed one covers."""
    known = list(allowed)
    return {wanted for wanted in needed if not any(_covers(given, wanted) for given in known)}


def _covers(given: Permission, wanted: Permission) -> bool:
    if given.kind != wanted.kind:
        return False
    below = given.kind in _BELOW and _is_inside(os.fsencode(wanted.value), os.fsencode(given.value))
    return below or given.value == wanted.value


def _parent(layout: Layout) -> bytes:
    return os.path.dirname(os.path.realpath(os.fsencode(layout.folder)))  # noqa: PTH120 - bytes


def _is_inside(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder.rstrip(_SEPARATOR) + _SEPARATOR)
