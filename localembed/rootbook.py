"""The roots of a workspace, and how naming and forgetting paths changes them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from localembed import config_file
from localembed.errors import UsageError
from localembed.places import FOLDER_NAME
from localembed.report import show_path
from localembed.roots import Scope, adopt, find_scope
from localembed.sources import glob_rules
from localembed.store.filters import of_chunk, of_document
from localembed.store.head import Head
from localembed.store.layout import Layout
from localembed.types import Root

_CHUNK_ID = re.compile(r"[0-9a-f]{32}")


class RootBook:
    """What config.toml says of roots. Changing it needs the writer lock."""

    def __init__(self, layout: Layout) -> None:
        """Remember the workspace; nothing is read yet."""
        self._layout = layout

    @property
    def roots(self) -> tuple[Root, ...]:
        """What the workspace has been told to index."""
        return config_file.read_roots(self._layout)

    def targets(self, paths: Sequence[str | os.PathLike[str]]) -> list[bytes]:
        """Return absolute paths without symbolic links, all of which exist or are roots.

        Raises:
            UsageError: there is nothing to index, or a path is gone.
        """
        roots = self.roots
        targets = [os.path.realpath(os.fsencode(path)) for path in paths]
        fresh = not roots and not self._layout.head.exists()
        if not targets and fresh and self._layout.folder.name == FOLDER_NAME:
            # A workspace made inside a folder is there for that folder.
            targets = [os.path.realpath(os.fsencode(self._layout.folder.parent))]
        if not targets and not roots:
            message = "Nothing to index yet. Name a folder: localembed index ~/notes"
            raise UsageError(message)
        for target in targets:
            scope = find_scope(roots, target)
            if not os.path.exists(target) and (scope is None or scope.path):  # noqa: PTH110 - bytes
                hint = f" To forget it: localembed rm {show_path(target)}" if scope else ""
                message = f"{show_path(target)} does not exist.{hint}"
                raise UsageError(message)
        return targets

    def scopes(
        self, targets: Sequence[bytes], options: Mapping[str, Any], *, remember: bool = True
    ) -> tuple[Scope, ...]:
        """Return the parts of roots to look at; new roots are remembered first, if so wished."""
        roots = self.roots
        glob_rules([*(options.get("include") or ()), *(options.get("exclude") or ())])
        adoption = adopt(roots, targets, options, config_file.new_root_id)
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
        scope = find_scope(roots, target) or find_scope(roots, os.path.realpath(target))
        if scope is None:
            known = ", ".join(show_path(root.path) for root in roots) or "none"
            message = f"{show_path(target)} is in no root of this workspace. Roots: {known}"
            raise UsageError(message)
        return scope

    def forget(self, path: str | os.PathLike[str]) -> Scope:
        """Drop a root from config.toml, or exclude a path below it; return what it was.

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

    def settle(self, head: Head) -> None:
        """Forget replaced roots for good once no other table can hold their documents."""
        if len(head.tables) <= 1 and config_file.read_forgotten(self._layout):
            config_file.write_roots(self._layout, self.roots)

    def condition(self, place: str) -> str:
        """Return the condition for the chunks of a place: a path, path:line, or the id of a chunk.

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
    # Neither a line end nor a byte that is no valid UTF-8 can stand in a rule; "?" matches it.
    return "/" + "".join("?" if c in "\r\n" or "\udc80" <= c <= "\udcff" else c for c in escaped)
