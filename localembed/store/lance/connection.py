"""Open lancedb quietly, and turn its errors into ours."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from localembed.core.panics import panics_as_errors
from localembed.errors import NotIndexedError, NotTrustedError, StorageError
from localembed.store.lance import disk_names

CACHE_BYTES = 16 << 20
"""Size of the index cache, and of the metadata cache, of a reader that is queried repeatedly."""
_WRITER_BYTES = 4 << 20
"""The same for a writer, which gains nothing from more: default caches grow by 0.2 MB per write."""
_REASONS = (
    (disk_names.DISK_FULL, "the disk is full. Free some space"),
    (disk_names.NO_PERMISSION, "permission denied. Fix the permissions"),
    (disk_names.READ_ONLY, "the disk is read-only. Make it writable"),
    *(
        (mark, "the disk has no hard links. Move the workspace to another disk")
        for mark in disk_names.NO_HARD_LINKS
    ),
    (disk_names.IO_ERROR, "the disk reports an input/output error. Check it"),
)


class VersionGoneError(NotIndexedError):
    """The pinned version no longer exists; by now head.json names a newer one."""


def connect(
    folder: Path, index_bytes: int = _WRITER_BYTES, metadata_bytes: int = _WRITER_BYTES
) -> Any:  # noqa: ANN401 - no types
    """Return a connection to the Lance database in `folder`, which is created if it is missing.

    Args:
        folder: where the tables are.
        index_bytes: how much of the indexes may stay in memory.
        metadata_bytes: how much of the metadata of tables.
    """
    # Read when lancedb is imported; by default it prints warnings to stderr.
    os.environ.setdefault("LANCEDB_LOG", "error")
    import lancedb

    session = lancedb.Session(
        index_cache_size_bytes=index_bytes, metadata_cache_size_bytes=metadata_bytes
    )
    with lance_errors(folder):
        return lancedb.connect(folder, session=session)


def open_table(
    folder: Path,
    version: int | None = None,
    index_bytes: int = _WRITER_BYTES,
    metadata_bytes: int = _WRITER_BYTES,
) -> Any:  # noqa: ANN401 - no types
    """Return the table in a folder, at its newest version unless another is given.

    Args:
        folder: the table.
        version: the version to open.
        index_bytes: how much of the indexes may stay in memory.
        metadata_bytes: how much of the metadata.

    Raises:
        NotTrustedError: a version has files in other folders.
    """
    check_version(folder, disk_names.newest_version(folder))
    if version is not None:
        check_version(folder, version)
    database = connect(folder.parent, index_bytes, metadata_bytes)
    handle = database.open_table(folder.stem, version=version)
    check_version(folder, handle.version)  # what Lance takes for the newest may be another one
    return handle


def check_version(folder: Path, version: int) -> None:
    """Refuse a version of a table that has files in other folders.

    Raises:
        NotTrustedError: it has.
    """
    for path in disk_names.manifest_paths(folder, version):
        if path.is_file() and disk_names.refers_elsewhere(path.read_bytes()):
            message = (
                f"{path} names files outside of the table, so the table is not used. Make a new "
                "workspace."
            )
            raise NotTrustedError(message)


def table_uuid(handle: Any) -> str:  # noqa: ANN401 - lancedb
    """Return the random id that a table was created with."""
    metadata: dict[bytes, bytes] = handle.schema.metadata or {}
    return metadata.get(b"localembed.uuid", b"").decode()


def check_uuid(folder: Path, found: str, known: Collection[str]) -> None:
    """Check that a table is the one that the workspace's own files describe.

    Args:
        folder: the table.
        found: its own uuid.
        known: the uuids that head.json and the manifest name; empty if the table is new.

    Raises:
        StorageError: the folder was replaced by another table, whose vectors and texts are others.
    """
    if known and found not in known:
        message = (
            f"{folder} is not the table that head.json describes: another one was put in its "
            "place. Put the right one back, or build it again: localembed doctor --repair"
        )
        raise StorageError(message)


@contextmanager
def lance_errors(folder: Path) -> Iterator[None]:
    """Turn lancedb's errors into ours: it raises only RuntimeError, ValueError and OSError.

    Raises:
        VersionGoneError: the version or a file of it does not exist.
        StorageError: everything else.
    """
    try:
        with panics_as_errors():
            yield
    except (RuntimeError, ValueError, OSError) as error:
        text = str(error)
        for mark, reason in _REASONS:
            if mark in text:
                message = (
                    f"Cannot use {folder}: {reason}, then run the same command again; "
                    "everything indexed so far is kept."
                )
                raise StorageError(message) from error
        first = first_sentence(error)
        if disk_names.GONE.search(text):
            message = f"Part of {folder} is gone: {first}. Run: localembed doctor --repair"
            raise VersionGoneError(message) from error
        message = f"{folder} cannot be used: {first}. Run: localembed doctor --deep"
        raise StorageError(message) from error


def first_sentence(error: Exception) -> str:
    """Return the first line of a lancedb error, without the position in its source."""
    text = str(error)
    first = text.splitlines()[0] if text else repr(error)
    return disk_names.SOURCE_POSITION.sub("", first)
