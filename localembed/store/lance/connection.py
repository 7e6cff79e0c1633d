"""The one place that knows lancedb: opening it quietly, and turning its errors into sentences."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from localembed.errors import NotIndexedError, StorageError

CACHE_BYTES = 16 << 20
"""Of indexes, and as much of what is known of tables, for who asks again and again."""
_WRITER_BYTES = 4 << 20
"""The same for who writes, and gains nothing by more: the default caches grow by 0.2 MB with every
write."""
_NEWEST = 2**64 - 1
_REASONS = (
    ("No space left", "the disk is full. Free some space"),
    ("Permission denied", "permission denied. Fix the permissions"),
    ("Read-only file system", "the disk is read-only. Make it writable"),
    ("Operation not supported", "the disk has no hard links. Move the workspace to another disk"),
    ("os error 95", "the disk has no hard links. Move the workspace to another disk"),
    ("safe Lance commits", "the disk has no hard links. Move the workspace to another disk"),
    ("Unable to rename file: Op", "the disk has no hard links. Move the workspace to another disk"),
    ("Input/output error", "the disk reports an input/output error. Check it"),
)
_GONE = re.compile(r"Not found|no longer exists|was not found", re.IGNORECASE)
_SOURCE_PLACE = re.compile(r", /\S+\.rs:\d+:\d+$")


class VersionGoneError(NotIndexedError):
    """The pinned version is no longer there; head.json names a newer one by now."""


def connect(
    folder: Path, index_bytes: int = _WRITER_BYTES, metadata_bytes: int = _WRITER_BYTES
) -> Any:  # noqa: ANN401 - no types
    """Return a connection to the Lance database in `folder`, which is made if it is missing.

    Args:
        folder: where the tables are.
        index_bytes: how much of the indexes may stay in memory.
        metadata_bytes: how much of what is known of tables.
    """
    # Read when the library is imported; by default it prints warnings on stderr.
    os.environ.setdefault("LANCEDB_LOG", "error")
    import lancedb

    session = lancedb.Session(
        index_cache_size_bytes=index_bytes, metadata_cache_size_bytes=metadata_bytes
    )
    with lance_errors(folder):
        return lancedb.connect(folder, session=session)


@contextmanager
def lance_errors(folder: Path) -> Iterator[None]:
    """Turn what lancedb raises into our errors: all it has is RuntimeError, ValueError, OSError.

    Raises:
        VersionGoneError: the version or a file of it does not exist.
        StorageError: everything else.
    """
    try:
        yield
    except (RuntimeError, ValueError, OSError) as error:
        text = str(error)
        for mark, reason in _REASONS:
            if mark in text:
                message = (
                    f"Cannot use {folder}: {reason}, then run the same command again; "
                    "what was indexed so far is kept."
                )
                raise StorageError(message) from error
        first = first_sentence(error)
        if _GONE.search(text):
            message = f"Part of {folder} is gone: {first}. Run: localembed doctor --repair"
            raise VersionGoneError(message) from error
        message = f"{folder} cannot be used: {first}. Run: localembed doctor --deep"
        raise StorageError(message) from error


def first_sentence(error: Exception) -> str:
    """Return what an error of lancedb says, without the place in its source."""
    text = str(error)
    first = text.splitlines()[0] if text else repr(error)
    return _SOURCE_PLACE.sub("", first)


def newest_version(folder: Path) -> int:
    """Return the newest version of a Lance table by its file names, 0 if there is no table."""
    return max(versions_on_disk(folder), default=0)


def manifest_path(folder: Path, version: int) -> Path:
    """Return the file that makes a version of a Lance table."""
    return folder / "_versions" / f"{_NEWEST - version}.manifest"


def versions_on_disk(folder: Path) -> set[int]:
    """Return the versions of a Lance table that can be opened, by file names alone.

    Lance names a version's manifest 2^64 - 1 - version, so that the newest sorts first.
    """
    try:
        names = [name for name in os.listdir(folder / "_versions") if name.endswith(".manifest")]  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return set()
    numbers = [int(stem) for name in names if (stem := name.removesuffix(".manifest")).isdigit()]
    return {_NEWEST - n if n > _NEWEST // 2 else n for n in numbers}
