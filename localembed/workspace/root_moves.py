"""Point a root to the folder where its files are now; nothing is read again or embedded."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from localembed.core.paths import canonical, place_below
from localembed.core.text import shell_word, show_path
from localembed.errors import UsageError
from localembed.store.layout import Layout
from localembed.store.root_documents import documents_of
from localembed.types.documents import FileRecord, Root
from localembed.types.tables import MovedRoot
from localembed.workspace import config_file
from localembed.workspace.lost_roots import count_equal, lost_roots
from localembed.workspace.roots import find_scope, here


def move_root(
    layout: Layout, old: str | os.PathLike[str], new: str | os.PathLike[str]
) -> MovedRoot:
    """Point a root to another path; the caller holds the writer lock.

    Args:
        layout: the workspace.
        old: the root's path, which need not exist, or its id.
        new: the folder or file that it is now.

    Raises:
        UsageError: there is no such root, `new` does not hold its files, or is in another root.
    """
    roots = config_file.read_roots(layout)
    root = _find(layout, roots, old)
    documents = documents_of(layout, root.root_id)
    path = canonical(os.fsencode(new))
    _check_kind(root, path, documents)
    others = [other for other in roots if other.root_id != root.root_id]
    _check_apart(root, path, here(others))
    found = count_equal(path, documents)
    if documents and not found:
        message = (
            f"None of the files of the root {_name(root)} is in {show_path(path)} as it was "
            "indexed, so it is not the same folder. To index it as a root of its own: localembed "
            f"index {show_path(path)}"
        )
        raise UsageError(message)
    moved = replace(root, path=path, elsewhere=False)
    kept = [moved if other.root_id == root.root_id else other for other in roots]
    if root.root_id not in {other.root_id for other in roots}:
        kept.append(moved)
    config_file.write_roots(layout, kept, config_file.read_forgotten(layout))
    return MovedRoot(moved, root.path, looked_at=len(documents), found=found)


def _find(layout: Layout, roots: Sequence[Root], name: str | os.PathLike[str]) -> Root:
    """Return the root with a path or an id, which config.toml need not list.

    Raises:
        UsageError: there is none.
    """
    spelled = os.fsencode(name)
    paths = {spelled, os.path.abspath(spelled), canonical(spelled)}  # noqa: PTH100 - bytes
    for root in roots:
        if root.path in paths or root.root_id == os.fspath(name):
            return root
    scope = find_scope(here(roots), canonical(spelled))
    if scope is not None and not scope.path:
        return scope.root
    if os.fspath(name) in lost_roots(layout):
        return Root(str(name), b"")
    inside = f"is inside the root {_name(scope.root)}; only a whole root moves" if scope else ""
    listed = ", ".join(map(_name, roots)) or "none"
    what = inside or "is no root of this workspace"
    message = f"{show_path(spelled)} {what}. Roots: {listed}"
    raise UsageError(message)


def _check_kind(root: Root, path: bytes, documents: Sequence[FileRecord]) -> None:
    """Check that a path exists, and is a folder or a file as the root was.

    Raises:
        UsageError: it is not.
    """
    shown = show_path(path)
    if not os.path.exists(path):  # noqa: PTH110 - bytes
        message = f"{shown} does not exist. Nothing was changed."
        raise UsageError(message)
    is_folder = os.path.isdir(path)  # noqa: PTH112 - bytes
    if not is_folder and not os.path.isfile(path):  # noqa: PTH113 - bytes
        message = f"{shown} is neither a folder nor a file. Nothing was changed."
        raise UsageError(message)
    was_file = any(not document.path for document in documents)
    if documents and was_file == is_folder:
        was, now = ("file", "folder") if was_file else ("folder", "file")
        message = f"The root {_name(root)} is a {was}, but {shown} is a {now}. Name the {was}."
        raise UsageError(message)


def _check_apart(root: Root, path: bytes, others: Sequence[Root]) -> None:
    """Check that a path is in no other root, and holds none.

    Raises:
        UsageError: it does.
    """
    holder = find_scope(others, path)
    if holder is not None:
        message = (
            f"{show_path(path)} is in the root {_name(holder.root)}, which indexes it already. To "
            f"forget the other one: localembed rm {_word(root)}"
        )
        raise UsageError(message)
    for other in others:
        if place_below(other.path, path):
            message = (
                f"{show_path(path)} holds the root {_name(other)}. Remove that first: localembed "
                f"rm {_word(other)}"
            )
            raise UsageError(message)


def _name(root: Root) -> str:
    return show_path(root.path) or root.root_id


def _word(root: Root) -> str:
    """Return what names a root on a command line."""
    return shell_word(root.path) if root.path else root.root_id
