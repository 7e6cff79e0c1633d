"""What a workspace reaches outside of its own parent folder, and which permission covers what."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

from localembed import models
from localembed.core import user_folders
from localembed.core.text import show_path
from localembed.errors import RegistryError, WorkspaceError
from localembed.store.head import read_head
from localembed.store.layout import Layout
from localembed.types.documents import Root
from localembed.types.models import ModelSpec
from localembed.types.trust import Permission, Reached
from localembed.workspace import config_file, trust_records

_BELOW: frozenset[Reached] = frozenset({"root", "hidden", "no_ignore"})
"""Kinds of permissions for a folder that hold for what is below it, too."""
EVERY_OPTION: Mapping[str, object] = {"hidden": True, "no_ignore": True}
"""Options of a root that reach more of it."""
_SEPARATOR = os.sep.encode()
_LABELS: Mapping[Reached, str] = {
    "workspace": "the folder {}, which other users could change",
    "root": "the root {}",
    "hidden": "hidden files in {}",
    "no_ignore": "ignored files in {}",
    "model": "the remote model {}",
}


def reached(layout: Layout) -> Iterator[Permission]:
    """Yield what a workspace reaches outside of its own parent folder.

    Raises:
        UsageError: config.toml cannot be read or has an unknown key.
    """
    if is_own(layout):
        return
    for root in config_file.read_roots(layout):
        yield from needs(root, layout)
    yield from remote(_models(layout))


def needs(root: Root, layout: Layout) -> frozenset[Permission]:
    """Return the permissions that a root needs.

    None are needed inside the workspace's parent folder, and by a root of another machine, which is
    not read.
    """
    if root.elsewhere or is_own(layout) or _is_inside(os.path.realpath(root.path), _parent(layout)):
        return frozenset()
    options = {"hidden": root.hidden or None, "no_ignore": root.no_ignore or None}
    return permissions_for([os.fsdecode(root.path)], options)


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


def outside(permissions: Iterable[Permission], layout: Layout) -> set[Permission]:
    """Return those permissions for folders that are not inside the workspace's parent folder."""
    place = _parent(layout)
    return {one for one in permissions if not _is_inside(os.fsencode(one.value), place)}


def remote(specs: Iterable[ModelSpec]) -> Iterator[Permission]:
    """Return the permissions that models need: only remote ones get text."""
    return (Permission("model", spec.name) for spec in specs if spec.remote is not None)


def describe(permission: Permission) -> str:
    """Return a permission in words."""
    return _LABELS[permission.kind].format(show_path(os.fsencode(permission.value)))


def ranked(permissions: Iterable[Permission]) -> tuple[Permission, ...]:
    """Return permissions sorted, the widest first."""
    return tuple(sorted(permissions, key=lambda permission: permission.rank))


def uncovered(needed: set[Permission], allowed: Iterable[Permission]) -> set[Permission]:
    """Return the permissions that no allowed one covers."""
    known = list(allowed)
    return {wanted for wanted in needed if not any(_covers(given, wanted) for given in known)}


def is_own(layout: Layout) -> bool:
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


def _covers(given: Permission, wanted: Permission) -> bool:
    if given.kind != wanted.kind:
        return False
    below = given.kind in _BELOW and _is_inside(os.fsencode(wanted.value), os.fsencode(given.value))
    return below or given.value == wanted.value


def _parent(layout: Layout) -> bytes:
    return os.path.dirname(os.path.realpath(os.fsencode(layout.folder)))  # noqa: PTH120 - bytes


def _is_inside(path: bytes, folder: bytes) -> bool:
    return path == folder or path.startswith(folder.rstrip(_SEPARATOR) + _SEPARATOR)
