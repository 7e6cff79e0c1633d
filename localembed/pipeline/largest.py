"""Find the few files that make up most of an index: often data that no query is after."""

from __future__ import annotations

import os
from collections.abc import Mapping

from localembed.store.layout import Layout
from localembed.store.manifest import Manifest
from localembed.types.listing import ListedFile
from localembed.types.tables import TableHead

_MIN_CHUNKS = 1_000
_MAX_FILES, _MAX_SHARE_OF_FILES = 20, 0.05
_SHARE = 0.5


def largest_files(
    layout: Layout, table: str, entry: TableHead, roots: Mapping[str, bytes]
) -> tuple[ListedFile, ...]:
    """Return the fewest files that hold half of the chunks, if they are few; else none.

    Args:
        layout: the workspace.
        table: name of the table.
        entry: what head.json says of it.
        roots: root_id → absolute path.
    """
    most = min(_MAX_FILES, int(_MAX_SHARE_OF_FILES * entry.documents))
    if entry.chunks < _MIN_CHUNKS or not most:
        return ()
    found: list[ListedFile] = []
    for record in Manifest(layout).largest(table, most):
        if record.root_id in roots:
            path = os.path.join(roots[record.root_id], record.path).rstrip(b"/")  # noqa: PTH118
            found.append(ListedFile(path, record.n_chunks))
        if sum(file.chunks for file in found) >= _SHARE * entry.chunks:
            return tuple(found)
    return ()
