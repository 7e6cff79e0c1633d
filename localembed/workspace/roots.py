"""Find the root that holds a path, and add and remove roots."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from localembed.core.paths import canonical, canonical_entry, folder_identity, place_below
from localembed.core.text import counted, line_number, shell_word, show_path
from localembed.core.workspace_folder import FOLDER_NAME
from localembed.errors import UsageError
from localembed.sources import glob_rules
from localembed.store.head import Head
from localembed.store.lance.filters import at_or_below, of_chunk, of_document, of_roots
from localembed.store.layout import Layout
from localembed.store.root_documents import documents_of
from localembed.types.documents import Root
from localembed.workspace import config_file
from localembed.workspace.lost_roots import continued_roots, inner_roots, lost_roots

_CHUNK_ID = re.compile(r"[0-9a-f]{32}")
_NONE: Mapping[bytes, Root] = {}


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


def find_scope(roots: Iterable[Root], target: bytes) -> Scope | None:
    """Return the root that holds an absolute path, with the path relative to it."""
    identity = cache(folder_identity)
    for root in roots:
        path = place_below(target, root.path, identity)
        if path is not None:
            return Scope(root, path)
    return None


def adopt(
    roots: Sequence[Root],
    targets: Sequence[bytes],
    options: Mapping[str, Any],
    continued: Mapping[bytes, Root] = _NONE,
) -> Adoption:
    """Return roots that cover every target.

    A path inside a root belongs to that root; a new parent replaces the roots below it. A path that
    was removed from its root is taken back.

    Args:
        roots: the roots so far.
        targets: absolute paths that exist, or are roots.
        options: include, exclude, hidden, no_ignore; None leaves an option unchanged.
        continued: target → the root that it continues if it is in no other.

    Raises:
        UsageError: options are given for a path inside a root, or for none; they apply to a whole
            root.
    """
    given = {name: value for name, value in options.items() if value is not None}
    if given and not targets:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        message = f"Name the root that {names} should apply to: localembed index PATH"
        raise UsageError(message)
    adopted, replaced = _without_twins(roots)
    for target in targets:
        found = find_scope(here(adopted), target)
        if found is None:
            root = continued.get(target) or Root(config_file.new_root_id(), target)
            children = _children(adopted, target)
            replaced.update(child.root_id for child in children)
            removed = root.removed.union(*children.values())
            adopted = [r for r in adopted if r not in children and r.root_id != root.root_id]
            adopted.append(replace(root, path=target, removed=removed, elsewhere=False, **given))
        elif given and found.path:
            message = (
                f"{show_path(target)} is inside the root {show_path(found.root.path)}, and these "
                f"options apply to a whole root. Name the root: localembed index "
                f"{shell_word(found.root.path)}"
            )
            raise UsageError(message)
        else:
            changed = replace(found.root, removed=found.root.removed - {found.path}, **given)
            adopted[adopted.index(found.root)] = changed
    return Adoption(tuple(adopted), frozenset(replaced))


def here(roots: Iterable[Root]) -> tuple[Root, ...]:
    """Return the roots whose path is one of this machine."""
    return tuple(root for root in roots if not root.elsewhere)


def _without_twins(roots: Sequence[Root]) -> tuple[list[Root], set[str]]:
    """Return the roots, one for each folder, and the ids of the others."""
    first = {(root.path, root.elsewhere): root for root in reversed(roots)}
    kept = [root for root in roots if first[root.path, root.elsewhere] is root]
    return kept, {root.root_id for root in roots} - {root.root_id for root in kept}


def _children(roots: Sequence[Root], target: bytes) -> dict[Root, frozenset[bytes]]:
    """Return the roots below a path, each with what was removed from it, relative to that path."""
    identity = cache(folder_identity)
    places = {root: place_below(root.path, target, identity) for root in here(roots)}
    return {
        root: frozenset(place + b"/" + path for path in root.removed)
        for root, place in places.items()
        if place
    }


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
            if lost := lost_roots(self._layout):
                number = sum(lost.values())
                verb = "is" if number == 1 else "are"
                message = (
                    f"{self._layout.config} lists no root, but {counted(number, 'file')} of roots "
                    f"that it listed before {verb} stored. To continue: localembed index FOLDER"
                )
            raise UsageError(message)
        for target in targets:
            scope = find_scope(here(roots), target)
            if not os.path.exists(target) and (scope is None or scope.path):  # noqa: PTH110 - bytes
                hint = f" To remove it: localembed rm {shell_word(target)}" if scope else ""
                message = f"{show_path(target)} does not exist.{hint}"
                raise UsageError(message)
        return targets

    def scopes(
        self,
        targets: Sequence[bytes],
        options: Mapping[str, Any],
        admitted: Callable[[Iterable[Root]], tuple[Root, ...]] = tuple,
        *,
        remember: bool = True,
    ) -> tuple[Scope, ...]:
        """Return the parts of roots to index, after storing new roots if `remember`.

        Args:
            targets: absolute paths.
            options: include, exclude, hidden or no_ignore for the roots that hold them.
            admitted: returns roots with the options that they may have, or refuses them.
            remember: whether to store what changed.
        """
        roots = self.roots
        glob_rules([*(options.get("include") or ()), *(options.get("exclude") or ())])
        adoption = adopt(roots, targets, options, self._continued(roots, targets))
        adoption = replace(adoption, roots=admitted(adoption.roots))
        if remember:
            self._remember(adoption, roots)
        if not targets:
            return tuple(Scope(root, b"") for root in adoption.roots)
        found = [find_scope(here(adoption.roots), target) for target in targets]
        return tuple(dict.fromkeys(scope for scope in found if scope is not None))

    def replaced(self, targets: Sequence[bytes]) -> tuple[list[Root], list[Root]]:
        """Return the new roots that targets would be, and the roots that they would replace."""
        before = self.roots
        adoption = adopt(before, targets, {}, self._continued(before, targets))
        kept = {root.root_id: root.path for root in adoption.roots}
        replaced = [root for root in before if root.root_id not in kept]
        known = {root.root_id for root in before}
        parents = [root for root in adoption.roots if root.root_id not in known]
        return parents, replaced if parents else []

    def _remember(self, adoption: Adoption, before: Sequence[Root]) -> None:
        """Store roots that changed, and the ids of those whose documents the run must remove."""
        known = {root.root_id for root in adoption.roots} | adoption.replaced
        lost = [root_id for root_id in lost_roots(self._layout) if root_id not in known]
        inner = inner_roots(self._layout, lost, [root.path for root in here(adoption.roots)])
        if adoption.roots != before or inner:
            forgotten = config_file.read_forgotten(self._layout) | adoption.replaced | inner
            config_file.write_roots(self._layout, adoption.roots, forgotten)

    def _continued(self, roots: Sequence[Root], targets: Sequence[bytes]) -> dict[bytes, Root]:
        """Return the new targets that continue a root which lost its folder, with that root."""
        candidates = [Root(root_id, b"") for root_id in lost_roots(self._layout)]
        candidates += [root for root in roots if root.elsewhere or not os.path.lexists(root.path)]
        new = [target for target in targets if not find_scope(here(roots), target)]
        return continued_roots(self._layout, candidates, new)

    def scope_of(self, path: str | os.PathLike[str], folder: str | None = None) -> Scope:
        """Return the root that holds a path, and the path relative to it.

        Args:
            path: the path.
            folder: what a relative path is relative to; None for the current folder.

        Raises:
            UsageError: no root does.
        """
        roots = sorted(self.roots, key=lambda root: root.elsewhere)
        spelled = os.fsencode(os.path.join(folder or "", path))  # noqa: PTH118 - a string
        target = os.path.abspath(spelled)  # noqa: PTH100 - bytes
        # A link inside a root is an entry of that root; any other link stands for its target. The
        # folder of another machine may be a link here.
        spellings = (canonical_entry(spelled), target, canonical(spelled))
        scope = next((found for each in spellings if (found := find_scope(roots, each))), None)
        if scope is None:
            names = [*(show_path(root.path) for root in roots), *lost_roots(self._layout)]
            paths = ", ".join(names) or "none"
            message = f"{show_path(target)} is in no root of this workspace. Roots: {paths}"
            raise UsageError(message)
        return scope

    def forget(self, path: str | os.PathLike[str]) -> Scope:
        """Remove a root from config.toml, or exclude a path below it; return the removed scope.

        Args:
            path: a path, or the id of a root, which config.toml need not list.

        Raises:
            UsageError: no root holds the path, or there is no such file.
        """
        roots = self.roots
        scope = self._by_id(path) or self.scope_of(path)
        forgotten = config_file.read_forgotten(self._layout)
        root = scope.root
        if not scope.path:
            rest = [other for other in roots if other.root_id != root.root_id]
            config_file.write_roots(self._layout, rest, forgotten | {root.root_id})
            return scope
        absolute = os.path.join(root.path, scope.path)  # noqa: PTH118 - bytes
        stored = documents_of(self._layout, root.root_id, scope.path)
        if not stored and not os.path.lexists(absolute):
            message = f"{show_path(absolute)} does not exist, and nothing of it is indexed."
            raise UsageError(message)
        changed = replace(root, removed=root.removed | {scope.path})
        rest = [changed if other.root_id == root.root_id else other for other in roots]
        config_file.write_roots(self._layout, rest, forgotten)
        return scope

    def _by_id(self, name: str | os.PathLike[str]) -> Scope | None:
        """Return the whole root with an id, None if there is none or a file has that name."""
        if os.path.lexists(name):
            return None
        known = {root.root_id: root for root in self.roots}
        known |= {root_id: Root(root_id, b"") for root_id in lost_roots(self._layout)}
        found = known.get(os.fspath(name))
        return Scope(found, b"") if found else None

    def drop_forgotten(self, head: Head) -> None:
        """Drop the ids of replaced roots once no other table can hold their documents."""
        if len(head.tables) <= 1 and config_file.read_forgotten(self._layout):
            config_file.write_roots(self._layout, self.roots)

    def condition(self, place: str, folder: str | None = None) -> str:
        """Return the condition for the chunks of a path, path:line or chunk id.

        Args:
            place: the path of a file or of a folder with files below it, path:line or chunk id.
            folder: what a relative path is relative to; None for the current folder.

        Raises:
            UsageError: no root holds the path.
        """
        if _CHUNK_ID.fullmatch(place):
            return of_chunk(bytes.fromhex(place))
        path, _, line = place.rpartition(":")
        whole = os.path.join(folder or "", place)  # noqa: PTH118 - a string
        has_line = bool(path) and line.isdecimal() and not os.path.exists(whole)  # noqa: PTH110
        if has_line:
            scope = self.scope_of(path, folder)
            return of_document(scope.root.root_id, scope.path, line_number(line))
        if inner := _children(self.roots, canonical(os.fsencode(whole))):
            return of_roots(root.root_id for root in inner)
        scope = self.scope_of(place, folder)
        return at_or_below(scope.root.root_id, scope.path)
