"""The files of a table's roots that runs found missing, so that a refused deletion stays refused.

It is a file of its own: the manifest can be rebuilt from the rows, and a refusal cannot.
"""

from __future__ import annotations

from collections.abc import Mapping

from localembed.core.files import read_json, write_json
from localembed.core.hashing import document_id
from localembed.store.layout import FORMAT, Layout
from localembed.types.documents import MissingFile


def read_missing(layout: Layout, table: str) -> dict[bytes, MissingFile]:
    """Return the files by doc_id; none if there is no list, or it cannot be read."""
    try:
        groups = read_json(layout.missing(table))["missing"]
        found = [
            MissingFile(
                str(group["root"]),
                bytes.fromhex(path),
                int(group["known"]),
                int(group["at_ns"]),
                refused=bool(group["refused"]),
            )
            for group in groups
            for path in group["paths_hex"]
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {document_id(file.root_id, file.path): file for file in found}


def write_missing(layout: Layout, table: str, missing: Mapping[bytes, MissingFile]) -> None:
    """Write the files, or delete the list if there are none.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    path = layout.missing(table)
    if not missing:
        path.unlink(missing_ok=True)
        return
    groups: dict[tuple[str, int, int, bool], list[str]] = {}
    for file in missing.values():
        key = (file.root_id, file.known, file.at_ns, file.refused)
        groups.setdefault(key, []).append(file.path.hex())
    entries = [
        {"root": root, "known": known, "at_ns": at, "refused": refused, "paths_hex": paths}
        for (root, known, at, refused), paths in groups.items()
    ]
    write_json(path, {"format": FORMAT, "missing": entries})
