"""Every fact about Lance's files and error texts that the project relies on.

`tests/assumptions/test_lance.py` checks each of them against the installed lancedb. File names are
relative to the folder of a table, with slashes.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

TABLE_SUFFIX = ".lance"
_VERSIONS, _MANIFEST = "_versions", ".manifest"
_MAX_VERSION = 2**64 - 1
_VERSION_NUMBER = re.compile(r"[0-9]{1,20}")
_VERSION_FILE = re.compile(r"\+?([0-9]{1,64})\.manifest")
"""Name of a version's file as Lance reads it: newest first as we write them, or in order."""
_HINT = "latest_version_hint.json"
_BRANCH_NAMES, _BRANCH_FILES, _BRANCH_SUFFIX = ("_refs", "branches"), "tree", ".json"
_DELETIONS, _INDEXES = "_deletions/", "_indices/"
_PARTIAL = ".tmp"
_MAGIC = b"LANC"
_FOOTER = struct.Struct("<QHH4s")
"""End of a manifest: where its message begins, two numbers of the format, the magic."""
_BASE_PATHS = 18
"""Field of a manifest's message that names other folders with files of the table."""
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
"""Kinds of fields in a Protocol Buffers message."""
FOLDERS = ("_versions", "_transactions", "_deletions", "_indices", "_refs", "tree", "data")
"""Folders at the top of a table's folder."""
FOLDER_PATTERNS = ("_indices/*", "_refs/*", "tree/*")
"""Folders below them."""
_FILE_SUFFIXES = (".lance", _MANIFEST, ".txn", ".arrow", ".bin", ".json", ".idx")

FRAGMENT_BITS = 32
"""A row id is the number of its fragment, then these bits for its row there."""
BITMAP_SUFFIX = ".bin"
"""Suffix of a deletion file with a Roaring bitmap; the others are Arrow files."""
EMPTY_BITMAP = struct.pack("<II", 12346, 0)
"""A deletion file of that kind that deletes nothing."""
DELETION_COLUMN = "row_id"
"""The one column of a deletion file in Arrow's format, uint32 without nulls."""

DISK_FULL = "No space left"
NO_PERMISSION = "Permission denied"
READ_ONLY = "Read-only file system"
IO_ERROR = "Input/output error"
NO_HARD_LINKS = (
    "Operation not supported",
    "os error 95",
    "safe Lance commits",
    "Unable to rename file: Op",  # Operation not permitted: vfat
)
GONE = re.compile(r"Not found|no longer exists|was not found", re.IGNORECASE)
"""A version, a table or a file of it does not exist."""
FILTER_FAILED_ON_A_ROW = "Error applying filter expression"
"""In a RuntimeError: the condition is at fault, such as a division by zero, not a file."""
SOURCE_POSITION = re.compile(r", /\S+\.rs:\d+:\d+$")
"""Where in Lance's source an error arose: the end of its first line."""


def manifest_path(folder: Path, version: int) -> Path:
    """Return the file that makes a version of a table: the newest sorts first."""
    return folder / _VERSIONS / f"{_MAX_VERSION - version}{_MANIFEST}"


def manifest_paths(folder: Path, version: int) -> list[Path]:
    """Return every file that Lance could open as a version of a table, under whichever name."""
    names = (_VERSION_FILE.fullmatch(path.name) for path in (folder / _VERSIONS).glob("*"))
    numbers = (version, _MAX_VERSION - version)
    return [folder / _VERSIONS / name[0] for name in names if name and int(name[1]) in numbers]


def refers_elsewhere(manifest: bytes) -> bool:
    """Tell whether a version of a table has files in other folders, as a shallow clone has.

    A manifest that Lance cannot read either has none; one that only Lance understands has.
    """
    if not manifest.endswith(_MAGIC) or len(manifest) < _FOOTER.size:
        return False
    begin = _FOOTER.unpack(manifest[-_FOOTER.size :])[0] + 4
    length = int.from_bytes(manifest[begin - 4 : begin], "little")
    try:
        return _BASE_PATHS in _field_numbers(manifest[begin : begin + length])
    except (IndexError, ValueError):
        return True


def _field_numbers(message: bytes) -> set[int]:
    """Return the numbers of the fields of a Protocol Buffers message.

    Raises:
        IndexError: the message is incomplete.
        ValueError: it has a field of an unknown kind.
    """
    found: set[int] = set()
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        found.add(key >> 3)
        kind = key & 7
        if kind == _VARINT:
            _, at = _varint(message, at)
        elif kind == _BYTES:
            size, at = _varint(message, at)
            at += size
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            at += 8 if kind == _EIGHT_BYTES else 4
        else:
            reason = f"a field of kind {kind}"
            raise ValueError(reason)
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Return the number at a position, and the position behind it."""
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def versions_on_disk(folder: Path) -> set[int]:
    """Return the versions of a table that can be opened, by file names alone."""
    try:
        names = [name for name in os.listdir(folder / _VERSIONS) if name.endswith(_MANIFEST)]  # noqa: PTH208
    except OSError:  # there is no such folder, or a link that leads nowhere
        return set()
    stems = (name.removesuffix(_MANIFEST) for name in names)
    numbers = [int(stem) for stem in stems if _VERSION_NUMBER.fullmatch(stem)]
    return {_MAX_VERSION - n if n > _MAX_VERSION // 2 else n for n in numbers if n <= _MAX_VERSION}


def newest_version(folder: Path) -> int:
    """Return the newest version of a table by its file names, 0 if there is no table."""
    return max(versions_on_disk(folder), default=0)


def is_inside(name: str) -> bool:
    """Tell whether the name of a file, as found on disk, stays inside the folder of its table."""
    return all(part not in ("", ".", "..") for part in name.replace(os.sep, "/").split("/"))


def is_partial(name: str) -> bool:
    """Tell whether Lance has not finished writing a file; a kill leaves it behind."""
    return os.path.basename(name).startswith(_PARTIAL)  # noqa: PTH119 - a plain string


def is_file_name(name: str) -> bool:
    """Tell whether Lance gives this name to files only, never to a folder."""
    return name.endswith(_FILE_SUFFIXES)


def is_written_once(name: str) -> bool:
    """Tell whether a file never changes, so that its digest can be compared later.

    The hint is overwritten in place. A branch that was deleted may come back with other files of
    the same names.
    """
    branches = (f"{_BRANCH_NAMES[0]}/", f"{_BRANCH_FILES}/")
    return not name.startswith(branches) and not name.endswith(_HINT)


def is_replaced(name: str) -> bool:
    """Tell whether Lance may replace the content of a file, though it can do without it."""
    return name.endswith(".json")


def branch_names(folder: Path) -> list[Path]:
    """Return the files that name the branches of a table."""
    return list(folder.joinpath(*_BRANCH_NAMES).glob(f"*{_BRANCH_SUFFIX}"))


def branch_folders(folder: Path) -> list[Path]:
    """Return the folders with the files of the branches of a table."""
    return list((folder / _BRANCH_FILES).glob("*"))


def branch_manifests(folder: Path, branch: str) -> list[Path]:
    """Return the files that make the versions of one branch of a table."""
    return list((folder / _BRANCH_FILES / branch / _VERSIONS).glob(f"*{_MANIFEST}"))


def deletion_files(names: Iterable[str]) -> dict[str, int]:
    """Return those names that are deletion files → the fragment that each belongs to."""
    return {
        name: int(PurePosixPath(name).name.split("-")[0])
        for name in names
        if name.startswith(_DELETIONS)
    }


def index_uuids(names: Iterable[str]) -> set[str]:
    """Return the uuids of the indexes that files belong to."""
    return {PurePosixPath(name).parts[1] for name in names if name.startswith(_INDEXES)}


def rows_of_fragment(number: int) -> str:
    """Return the condition, in SQL, for all rows of a fragment."""
    return f"_rowid >= {number << FRAGMENT_BITS} AND _rowid < {(number + 1) << FRAGMENT_BITS}"
