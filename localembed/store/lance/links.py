"""A view of a Lance table without some of its files, made of links; the table is not changed."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from localembed.store.fsync import files_below
from localembed.store.lance.disk_names import is_replaced


def linked_view(folder: Path, damaged: Collection[str], place: Path) -> Path:
    """Make a table of links to the files of another one, except the damaged ones.

    Writes to it do not reach the original: Lance replaces no file except the hint of the newest
    version, which it can do without.

    Args:
        folder: the table.
        damaged: names of files to leave out, relative to it.
        place: an empty folder.

    Returns:
        The folder of the new table.
    """
    for name in files_below(folder):
        if name not in damaged and not is_replaced(name):
            link = place / folder.name / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to((folder / name).absolute())
    return place / folder.name
