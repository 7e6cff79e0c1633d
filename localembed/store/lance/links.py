"""A Lance table without some of its files, made of links: the table itself stays as it is."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from localembed.store.fsync import files_below
from localembed.store.lance.disk_names import is_replaced


def linked_view(folder: Path, damaged: Collection[str], place: Path) -> Path:
    """Make a table of links to the files of another one, but for the damaged ones.

    What is written to it does not reach the original: Lance replaces no file, but for the hint of
    the newest version, which it can do without.

    Args:
        folder: the table.
        damaged: names of files to leave out, relative to it.
        place: an empty folder.

    Returns the folder of the new table.
    """
    for name in files_below(folder):
        if name not in damaged and not is_replaced(name):
            link = place / folder.name / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to((folder / name).resolve())
    return place / folder.name
