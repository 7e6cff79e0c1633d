"""Find the root that holds a path, and add and remove roots."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from localembed.core.paths import canonical, place_below
from localembed.core.text import show_path
from localembed.core.workspace_folder import FOLDER_NAME
from localembed.errors import UsageError
from localembed.sources import glob_rules
from localembed.store.head import Head
from localembed.store.lance.filters import of_chunk, of_document
from localembed.store.layout import Layout
from localembed.types.documents import Root
from localembed.workspace import config_file

_CHUNK_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Scope:
    """A part of a root."""

    root: Root
    path: bytes
    """Path relative to the root; empty for the whole root."""


@dataclass(frozen=True, slots=True)
class Adoption:
    """The roots after new targets were added."""

    roots: tuple[Root, ...]
    replaced: frozenset[str]
    """Ids of roots that a new parent replaced; their documents are found again below it."""


def find_scope(roots: Sequence[Root], target: bytes) -> Scope | None:
    """Return the root that holds an absolute path, with the path relative to it."""
    for root in roots:
        path = place_below(target, root.path)
        if path is not None:
            return Scope(root, path)
    return None


def adopt(
    roots: Sequence[Root],
    targets: Sequence[bytes],
    options: Mapping[str, Any],
) -> Adoption:
    """Return roots that cover every target.

    A path inside a root belongs to that root; a new parent replaces the roots below it.

    Args:
        roots: the roots so far.
        targets: absolute paths that exist, or are roots.
        options: include, exclude, hidden, no_ignore; None leaves an option unchanged.

    Raises:
        UsageError: options are given for a path inside a root, or for none; they apply to a whole
            root.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if given and not targets:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        message = f"Name the root that {names} should apply to: localembed index PATH"
        raise UsageError(message)
    adopted = list(roots)
    replaced: set[str] = set()
    for target in targets:
        found = find_scope(adopted, target)
        if found is None:
            children = [root for root in adopted if place_below(root.path, target)]
            replaced.update(root.root_id for root in children)
            adopted = [root for root in adopted if root not in children]
            adopted.append(Root(root_id=config_file.new_root_id(), path=target, **given))
        elif given and found.path:
            message = (
                f"{show_path(target)} is inside the root {show_path(found.root.path)}, and these "
                f"options apply to a whole root. Name the root: localembed index "
                f"{show_path(found.root.path)}"
            )
            raise UsageError(message)
        elif given:
            adopted[adopted.index(found.root)] = replace(found.root, **given)
    return Adoption(tuple(adopted), frozenset(replaced))


class Roots:
    """The roots in config.toml; changing them requires the writer lock."""

    def __init__(self, layout: Layout) -> None:
        """Set the workspace; nothing is read yet."""
        self._layout = layout

    @property
    def roots(self) -> tuple[Root, ...]:
        """Roots that the workspace indexes."""
        return config_file.read_roots(self._layout)

    def targets(self, paths: Sequence[str | os.PathLike[str]]) -> list[bytes]:
        """Return absolute paths in their one spelling, all of which exist or are roots.

        Raises:
            UsageError: there is nothing to index, or a path does not exist.
        """
        roots = self.roots
        targets = [canonical(os.fsencode(path)) for path in paths]
        fresh = not roots and not self._layout.head.exists()
        if not targets and fresh and self._layout.folder.name == FOLDER_NAME:
            # A workspace inside a folder is for that folder.
            targets = [canonical(os.fsencode(self._layout.folder.parent))]
        if not targets and not roots:
            message = "Nothing to index yet. Name a folder: localembed index ~/notes"
            raise UsageError(message)
        for target in targets:
            scope = find_scope(roots, target)
            if not os.path.exists(target) and (scope is None or scope.path):  # noqa: PTH110 - bytes
                hint = f" To remove it: localembed rm {show_path(target)}" if scope else ""
                message = f"{show_path(target)} does not exist.{hint}"
                raise UsageError(message)
        return targets

    def scopes(
        self, targets: Sequence[bytes], options: Mapping[str, Any], *, remember: bool = True
    ) -> tuple[Scope, ...]:
        """Return the parts of roots to index, after storing new roots if `remember`."""
        roots = self.roots
        glob_rules([*(options.get("include") or ()), *(options.get("exclude") or ())])
        adoption = adopt(roots, targets, options)
        if adoption.roots != roots and remember:
            forgotten = config_file.read_forgotten(self._layout) | adoption.replaced
            config_file.write_roots(self._layout, adoption.roots, forgotten)
        if not targets:
            return tuple(Scope(root, b"") for root in roots)
        found = [find_scope(adoption.roots, target) for target in targets]
        return tuple(dict.fromkeys(scope for scope in found if scope is not None))

    def scope_of(self, path: str | os.PathLike[str]) -> Scope:
        """Return the root that holds a path, and the path relative to it.

        Raises:
            UsageError: no root does.
        """
        roots = self.roots
        target = os.fsencode(os.path.abspath(path))  # noqa: PTH100 - a missing path has no realpath
        scope = find_scope(roots, target) or find_scope(roots, canonical(target))
        if scope is None:
            paths = ", ".join(show_path(root.path) for root in roots) or "none"
            message = f"{show_path(target)} is in no root of this workspace. Roots: {paths}"
            raise UsageError(message)
        return scope

    def forget(self, path: str | os.PathLike[str]) -> Scope:
        """Remove a root from config.toml, or exclude a path below it; return the removed scope.

        Raises:
            UsageError: no root holds the path.
        """
        roots = self.roots
        scope = self.scope_of(path)
        forgotten = config_file.read_forgotten(self._layout)
        root = scope.root
        if not scope.path:
            rest = [other for other in roots if other.root_id != root.root_id]
            config_file.write_roots(self._layout, rest, forgotten | {root.root_id})
            return scope
        changed = replace(root, exclude=(*root.exclude, _pattern(scope.path)))
        rest = [changed if other.root_id == root.root_id else other for other in roots]
        config_file.write_roots(self._layout, rest, forgotten)
        return scope

    def drop_forgotten(self, head: Head) -> None:
        """Drop the ids of replaced roots once no other table can hold their documents."""
        if len(head.tables) <= 1 and config_file.read_forgotten(self._layout):
            config_file.write_roots(self._layout, self.roots)

    def condition(self, place: str) -> str:
        """Return the condition for the chunks of a path, path:line or chunk id.

        Raises:
            UsageError: no root holds the path.
        """
        if _CHUNK_ID.fullmatch(place):
            return of_chunk(bytes.fromhex(place))
        path, _, line = place.rpartition(":")
        has_line = bool(path) and line.isdecimal() and not os.path.exists(place)  # noqa: PTH110
        scope = self.scope_of(path if has_line else place)
        return of_document(scope.root.root_id, scope.path, int(line) if has_line else None)


def _pattern(path: bytes) -> str:
    """Return an ignore pattern that matches exactly this path below the root."""
    special = "\\*?[]!# "
    escaped = ("\\" + c if c in special else c for c in os.fsdecode(path))
    # A rule cannot contain a line end or a byte that is not valid UTF-8; "?" matches both.
    return "/" + "".join("?" if c in "\r\n" or "\udc80" <= c <= "\udcff" else c for c in escaped)
