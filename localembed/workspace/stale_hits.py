"""Tell which hits are in files that have changed since they were indexed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from localembed.errors import ReadError
from localembed.sources import read_file
from localembed.types.documents import FileStat, Root
from localembed.types.queries import SearchHit


def with_stale_marks(hits: Sequence[SearchHit], roots: Sequence[Root]) -> tuple[SearchHit, ...]:
    """Return the hits, with those marked whose file has changed or is gone.

    One look at each file tells, unless it was touched: then its content is compared. Nothing is
    read of roots that are on another machine.
    """
    files = {hit.path_bytes: hit for hit in hits}
    stale = {path for path, hit in files.items() if _has_changed(hit, roots)}
    return tuple(replace(hit, stale=hit.path_bytes in stale) for hit in hits)


def _has_changed(hit: SearchHit, roots: Sequence[Root]) -> bool:
    root = next((root for root in roots if _holds(root, hit.path_bytes)), None)
    if root is None or root.elsewhere:
        return False
    try:
        if FileStat.of(os.lstat(hit.path_bytes)).mtime_ns == hit.mtime_ns:
            return False
        path = hit.path_bytes[len(root.path) :].lstrip(b"/")
        return read_file(root.path, path).content_hash != hit.content_hash
    except (OSError, ReadError):
        return True


def _holds(root: Root, path: bytes) -> bool:
    return path == root.path or path.startswith(root.path.rstrip(b"/") + b"/")
