"""The gate before a workspace is read: whose it is, and what it reaches outside.

A workspace may have come with a folder from another user. What it reaches outside of its own parent
folder is refused until the user names it on a command line or trusts the workspace.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from localembed.core import ownership, user_folders
from localembed.core.text import shell_word
from localembed.core.workspace_folder import FOLDER_NAME, find_workspace, named_workspace
from localembed.errors import NotTrustedError, StorageError
from localembed.store.layout import Layout
from localembed.store.lock import check_writable
from localembed.types.documents import Root
from localembed.types.models import ModelSpec
from localembed.types.trust import Permission
from localembed.workspace import config_file, reach, trust_records

_VALID_SECONDS = 1.0
"""How long a workspace that passed is not examined again: one command asks several times."""


class Gate:
    """What stands before everything that is read of one workspace."""

    def __init__(self, layout: Layout) -> None:
        """Set the workspace; nothing is read yet."""
        self._layout = layout
        self._named: set[Permission] = set()
        """Roots that the user named in this process, with the options that were given."""
        self._switchable: set[Permission] = set()
        """Options of these roots that only config.toml has; they are switched off."""
        self._passed: tuple[object, ...] = ()
        self._passed_at = 0.0

    def name_roots(
        self, paths: Iterable[str | os.PathLike[str]], options: Mapping[str, object]
    ) -> None:
        """Allow the roots that the user named, with the options that were given for them."""
        switched_on = {name: value or None for name, value in options.items()}
        self._named |= reach.permissions_for(paths, switched_on)
        self._switchable |= reach.permissions_for(paths, reach.EVERY_OPTION)

    def name_moved(self, root: Root, path: str | os.PathLike[str]) -> None:
        """Allow the new path of a root the options that the user allowed it at the old one."""
        allowed = {one.kind for one in reach.needs(root, self._layout)}
        self.name_roots([path], {name: name in allowed for name in reach.EVERY_OPTION})

    def admitted(self, roots: Iterable[Root]) -> tuple[Root, ...]:
        """Return the roots that a run may read, with the options that are allowed for each.

        Those that were named lose the options that the user never gave. They are looked at again,
        because a link in a path may lead elsewhere by now, and a root may have changed its path.

        Raises:
            NotTrustedError: one reaches what the user has not allowed.
        """
        found = tuple(map(self._as_named, roots))
        self._refuse({one for root in found for one in reach.needs(root, self._layout)})
        return found

    def _as_named(self, root: Root) -> Root:
        wanted = set(reach.needs(root, self._layout)) & self._switchable
        if not reach.uncovered(wanted, self._named):
            return root
        known = trust_records.permissions_of(self._layout)
        missing = {one.kind for one in reach.uncovered(wanted, self._named | known)}
        hidden, no_ignore = "hidden" not in missing, "no_ignore" not in missing
        return replace(root, hidden=root.hidden and hidden, no_ignore=root.no_ignore and no_ignore)

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
        self._refuse(set(reach.reached(self._layout)), self._switchable | also)
        if not also:
            self._passed, self._passed_at = state, time.monotonic()

    def _refuse(
        self, needed: set[Permission], also: frozenset[Permission] | set[Permission] = frozenset()
    ) -> None:
        """Refuse what the workspace needs if the user has not allowed it.

        Raises:
            NotTrustedError: the message names what, and how to allow it.
        """
        missing = reach.uncovered(needed, self._named | also)
        if missing:
            missing = reach.uncovered(missing, trust_records.permissions_of(self._layout))
        if missing:
            message = (
                f"{self._layout.folder} reaches outside of its own folder: "
                f"{'; '.join(map(reach.describe, reach.ranked(missing)))}. If that is what you "
                f"want, run: localembed trust {shell_word(os.fsencode(self._layout.folder))}"
            )
            raise NotTrustedError(message)

    def _state(self) -> tuple[object, ...]:
        """Return what changes with the folder and the files that `check` reads."""
        layout = self._layout
        records = trust_records.records_path()
        found: list[object] = []
        for path in (layout.folder, layout.config, layout.head, layout.models, records):
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
        chosen = reach.outside(self._named, self._layout)
        chosen |= set(reach.remote([spec] if spec else []))
        if not chosen or reach.is_own(self._layout):
            return
        if new := reach.uncovered(chosen, trust_records.permissions_of(self._layout)):
            config_file.ensure_id(self._layout)
            trust_records.allow(self._layout, new)

    def withdraw(self, root: Root) -> None:
        """Forget that the user allowed a root."""
        gone = reach.permissions_for([os.fsdecode(root.path)], reach.EVERY_OPTION)
        self._named -= gone
        self._switchable -= gone
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
        word = shell_word(os.fsencode(found))
        message = (
            f"{found} is not used: {reason}. Another user could read your text there, or replace "
            f"it. To use it anyway: --workspace {word}, or run: localembed trust {word}"
        )
        raise NotTrustedError(message)
    return Path(found)


def check_new(layout: Layout) -> None:
    """Refuse to make a workspace in a folder that is there if another user could have made it.

    Raises:
        NotTrustedError: it is a link or contains one, or belongs to another user.
        StorageError: it cannot be examined.
    """
    if not os.path.lexists(layout.folder):
        return
    check_writable(layout)
    folder = os.fspath(layout.folder)
    if layout.folder.name == FOLDER_NAME and (reason := ownership.foreign_owner(folder)):
        message = f"{folder} {reason}, so no workspace is made in it. Remove it first."
        raise NotTrustedError(message)


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


def _is_allowed(layout: Layout) -> bool:
    """Tell whether the user allowed a workspace that other users could change."""
    wanted = Permission("workspace", os.path.realpath(layout.folder))
    if not any(wanted in known.permissions for known in trust_records.trusted_workspaces()):
        return False
    check_links(layout)
    return wanted in trust_records.permissions_of(layout)
