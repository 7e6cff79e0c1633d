"""Carry a workspace's index to another machine in a bundle, and say where its roots are there.

In a bundle every root is one of another machine. It becomes a folder of this machine only when the
user names that folder; until then queries answer from the stored text, and nothing is read.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from localembed.core.text import show_path
from localembed.errors import UsageError
from localembed.models import bundle
from localembed.store.layout import Layout
from localembed.store.lock import writer_lock
from localembed.types.documents import Root
from localembed.workspace import config_file, trust_records
from localembed.workspace.reach import outside, permissions_for
from localembed.workspace.root_moves import move_root

_CONFIG = f"{bundle.INDEX}config.toml"
_MAX_CONFIG_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class InstalledBundle:
    """What a bundle brought."""

    models: tuple[str, ...]
    """Models that were installed."""
    present: tuple[str, ...]
    """Models that were already installed."""
    workspace: Path | None
    """Workspace folder of the installed index, None without one."""
    roots: tuple[Root, ...]
    """Roots of that index."""


def create_bundle(
    names: tuple[str, ...], output: Path, layout: Layout, *, with_index: bool
) -> bundle.Contents:
    """Write models, and optionally a workspace's index (see `models.bundle.create_bundle`)."""
    config = config_file.portable(layout) if with_index else None
    return bundle.create_bundle(names, output, layout, with_index=with_index, config=config)


def bundled_roots(path: Path) -> tuple[Root, ...]:
    """Return the roots of the index in a bundle; only its first files are read.

    Raises:
        BundleError: it is damaged, unsafe, or written by a newer localembed.
    """
    with tempfile.TemporaryDirectory(prefix="localembed-") as part:
        with bundle.opened(path, Path(part)) as (contents, files):
            if any(_is_config(member) for member in contents.members):
                next(filter(_is_config, files))
        folder = Path(part) / bundle.INDEX
        return tuple(map(_elsewhere, config_file.read_roots(Layout(folder))))


def _is_config(member: bundle.Member) -> bool:
    """Tell whether a member is config.toml; the installation refuses one that is too large."""
    return member.name == _CONFIG and member.size <= _MAX_CONFIG_BYTES


def parse_places(given: Sequence[str], roots: Sequence[Root]) -> dict[str, str]:
    """Return root_id → the path here, from texts such as OLD=NEW.

    Args:
        given: each a root's path or id on the other machine, and a path that exists here.
        roots: the roots of the bundle.

    Raises:
        UsageError: OLD is no root of the bundle, or NEW does not exist.
    """
    ids = {name: root.root_id for root in roots for name in (show_path(root.path), root.root_id)}
    places: dict[str, str] = {}
    for text in given:
        old = max((name for name in ids if text.startswith(f"{name}=")), key=len, default=None)
        if old is None:
            listed = ", ".join(show_path(root.path) for root in roots) or "none"
            message = f"--root {text} names no root of the bundle as OLD=NEW. Its roots: {listed}"
            raise UsageError(message)
        new = text.removeprefix(f"{old}=")
        if not new or not os.path.exists(new):  # noqa: PTH110 - text of the user
            message = f"--root {text}: {new or 'NEW'} does not exist. Nothing was installed."
            raise UsageError(message)
        places[ids[old]] = new
    return places


def install_bundle(path: Path, layout: Layout, places: Mapping[str, str]) -> InstalledBundle:
    """Check a bundle, and install its models and its index (see `models.bundle.install_bundle`).

    Args:
        path: the bundle.
        layout: the workspace to install the index to.
        places: root_id → the path of that root on this machine; the others are not here.

    Raises:
        UsageError: the workspace exists, or a place does not hold the files of its root.
    """
    done = bundle.install_bundle(path, layout)
    roots: tuple[Root, ...] = ()
    if done.workspace is not None:
        places_here = permissions_for(places.values(), {})
        trust_records.allow(layout, outside(places_here, layout), is_installed=True)
        roots = _place_roots(layout, places)
    return InstalledBundle(done.models, done.present, done.workspace, roots)


def _place_roots(layout: Layout, places: Mapping[str, str]) -> tuple[Root, ...]:
    with writer_lock(layout):
        roots = list(map(_elsewhere, config_file.read_roots(layout)))
        config_file.write_roots(layout, roots, config_file.read_forgotten(layout))
        for root_id, place in places.items():
            try:
                move_root(layout, root_id, place)
            except UsageError as error:
                message = f"The index is installed, but one of its roots is not here yet: {error}"
                raise UsageError(message) from error
        return config_file.read_roots(layout)


def _elsewhere(root: Root) -> Root:
    return replace(root, elsewhere=True)
