"""Which root a path belongs to, and what happens to the roots when a new one is named."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from localembed.errors import UsageError
from localembed.report import show_path
from localembed.types import Root


@dataclass(frozen=True, slots=True)
class Scope:
    """A part of a root."""

    root: Root
    path: bytes
    """Relative to the root; empty for all of it."""


@dataclass(frozen=True, slots=True)
class Adoption:
    """The roots after new targets were named."""

    roots: tuple[Root, ...]
    replaced: frozenset[str]
    """Ids of roots that a new parent took over; their documents are found again below it."""


def find_scope(roots: Sequence[Root], target: bytes) -> Scope | None:
    """Return the root that holds an absolute path, with the path relative to it."""
    for root in roots:
        if target == root.path:
            return Scope(root, b"")
        if _is_below(target, root.path):
            return Scope(root, os.path.relpath(target, root.path))
    return None


def adopt(
    roots: Sequence[Root],
    targets: Sequence[bytes],
    options: Mapping[str, Any],
    new_id: Callable[[], str],
) -> Adoption:
    """Return the roots with every target covered.

    A path inside a root belongs to that root; a new parent takes child roots over.

    Args:
        roots: known so far.
        targets: absolute paths that exist, or are roots.
        options: include, exclude, hidden, no_ignore; None means unchanged.
        new_id: draws the identity of a new root.

    Raises:
        UsageError: options are given for a path inside a root: they belong to the whole root.
    """
    given = {name: value for name, value in options.items() if value is not None}
    known = list(roots)
    replaced: set[str] = set()
    for target in targets:
        found = find_scope(known, target)
        if found is None:
            children = [root for root in known if _is_below(root.path, target)]
            replaced.update(root.root_id for root in children)
            known = [root for root in known if root not in children]
            known.append(Root(root_id=new_id(), path=target, **given))
        elif given and found.path:
            message = (
                f"{show_path(target)} lies inside the root {show_path(found.root.path)}, and these "
                f"options hold for a whole root. Name the root: localembed index "
                f"{show_path(found.root.path)}"
            )
            raise UsageError(message)
        elif given:
            known[known.index(found.root)] = replace(found.root, **given)
    return Adoption(tuple(known), frozenset(replaced))


def _is_below(path: bytes, folder: bytes) -> bool:
    return path.startswith(folder.rstrip(b"/") + b"/")
