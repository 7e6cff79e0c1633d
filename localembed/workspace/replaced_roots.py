"""Roots that a new parent replaces: their missing files are refused as in any other run."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence

from localembed.core.text import show_path
from localembed.errors import WorkspaceError
from localembed.pipeline.deletion_guard import is_mass
from localembed.sources import WalkRules, walk
from localembed.store.layout import Layout
from localembed.store.missing_files import read_missing
from localembed.store.root_documents import documents_of
from localembed.types.documents import FileRecord, Root

_RULES = WalkRules(sys.maxsize)


def check_replaced(
    layout: Layout, table: str, parents: Sequence[Root], replaced: Iterable[Root]
) -> None:
    """Refuse new parents of roots whose files are missing, before anything is changed.

    Args:
        layout: the workspace.
        table: the table that the run writes.
        parents: the new roots.
        replaced: the roots that they replace.

    Raises:
        WorkspaceError: most files of a root, or some whose removal was refused, are missing.
    """
    refused = {key for key, file in read_missing(layout, table).items() if file.refused}
    for root in replaced:
        documents = documents_of(layout, root.root_id)
        lost = _lost(parents, [each for each in documents if not _is_there(root, each)])
        all_lost = bool(lost) and len(lost) == len(documents)
        stands = any(each.doc_id in refused for each in lost)
        if all_lost or stands or is_mass(len(lost), len(documents)):
            raise WorkspaceError(_sentence(root, len(lost), len(documents)))


def _is_there(root: Root, document: FileRecord) -> bool:
    place = os.path.join(root.path, document.path) if document.path else root.path  # noqa: PTH118
    return os.path.lexists(place)


def _lost(parents: Sequence[Root], gone: Sequence[FileRecord]) -> list[FileRecord]:
    """Return the files that are nowhere below the parents, by size and time of change."""
    if not gone:
        return []
    files = [file for parent in parents for file in walk(parent, _RULES).files]
    left = Counter((file.stat.size, file.stat.mtime_ns) for file in files)
    lost: list[FileRecord] = []
    for document in gone:
        key = (document.stat.size, document.stat.mtime_ns)
        left[key] -= 1
        if left[key] < 0:
            lost.append(document)
    return lost


def _sentence(root: Root, lost: int, looked_at: int) -> str:
    where = show_path(root.path)
    return (
        f"A folder above the root {where} would take its place, but {lost} of {looked_at} files of "
        f"that root that were looked at are missing. Nothing was changed. If they should leave the "
        "index, run the same command with --allow-mass-delete, or remove the root with: localembed "
        f"rm {where}"
    )
