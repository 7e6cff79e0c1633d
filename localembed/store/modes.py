"""The modes of a workspace's files: 0600, and 0700 for folders, also where they existed before."""

from __future__ import annotations

import re
from collections.abc import Iterator

from localembed.core import private
from localembed.store.layout import Layout

_OWN = re.compile(
    r"\.?(config\.toml|models\.toml|head\.json|run\.json|manifest\.duckdb|calibrations\.json"
    r"|(failures|missing)-\w+\.json)(\..*)?"
    r"|writer\.lock|runs|pending|vectors|damaged|\.gitignore|\.link\..*"
)
"""Everything in a workspace's folder that localembed makes there; other files stay as they are."""


def loose_paths(layout: Layout) -> list[str]:
    """Return all paths of a workspace that other users may access, its folder included."""
    return [path for top, deep in _tops(layout) for path, _ in private.loose(top, deep=deep)]


def tighten_workspace(layout: Layout) -> None:
    """Take all rights of other users from a workspace's folder and files."""
    for top, deep in _tops(layout):
        private.tighten(top, deep=deep)


def _tops(layout: Layout) -> Iterator[tuple[str, bool]]:
    """Yield the folder itself and what localembed made in it, with whether to look below."""
    yield str(layout.folder), False
    try:
        names = [path.name for path in layout.folder.iterdir()]
    except OSError:
        return
    for name in filter(_OWN.fullmatch, names):
        yield str(layout.folder / name), True
