"""Compare two versions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from localembed.core.text import show_path
from localembed.store.layout import Layout
from localembed.types.tables import Changes, Version

if TYPE_CHECKING:
    from localembed.store.lance.read_rows import ChunkReader


def changes_between(
    layout: Layout, old: Version, new: Version, roots: Mapping[str, bytes]
) -> Changes:
    """Return the differences between two versions, which may be of different tables.

    Args:
        layout: the workspace.
        old: the version to compare from.
        new: the version to compare to.
        roots: root_id → absolute path.
    """
    before, after = (_reader(layout, version).contents() for version in (old, new))

    def shown(documents: set[tuple[str, bytes]]) -> tuple[str, ...]:
        return tuple(sorted(_shown(*document, roots) for document in documents))

    both = before.keys() & after.keys()
    every_before = frozenset().union(*before.values())
    every_after = frozenset().union(*after.values())
    return Changes(
        added=shown(after.keys() - before.keys()),
        changed=shown({document for document in both if before[document] != after[document]}),
        removed=shown(before.keys() - after.keys()),
        chunks_added=len(every_after - every_before),
        chunks_removed=len(every_before - every_after),
    )


def _reader(layout: Layout, version: Version) -> ChunkReader:
    from localembed.store.lance.read_rows import ChunkReader

    return ChunkReader(layout, version.table, version.entry)


def _shown(root_id: str, path: bytes, roots: Mapping[str, bytes]) -> str:
    root = roots.get(root_id, b"")
    return show_path(os.path.join(root, path) if path else root)  # noqa: PTH118
