"""Replace small files atomically and durably."""

from __future__ import annotations

import errno
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from localembed.core.hashing import fingerprint
from localembed.errors import StorageError

_DIGEST = "_xxh3"
_MAX_JSON_BYTES = 256 << 20
MAX_TOML_BYTES = 16 << 20
"""Maximum size of config.toml and models.toml: a second or two of parsing."""
OTHER_KINDS = frozenset({errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP})
"""Errors of a path where something of another kind is, such as a folder in place of a file."""


def write_atomically(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Replace a file atomically: a reader sees either the old content or the new.

    Raises:
        StorageError: the disk is full or unwritable.
    """
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                if sync:
                    os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        if sync:
            sync_folder(path.parent)
    except OSError as error:
        raise storage_error(path, error) from error


def write_json(path: Path, value: Mapping[str, object], *, sync: bool = True) -> None:
    """Replace a file with a JSON object and its digest (see `write_atomically`)."""
    text = json.dumps({**value, _DIGEST: fingerprint(value)}, indent=1, ensure_ascii=False)
    write_atomically(path, text.encode("utf-8", "backslashreplace") + b"\n", sync=sync)


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object that `write_json` wrote.

    Raises:
        OSError: the file does not exist or cannot be read.
        ValueError: it is not a JSON object, or too large or too deeply nested for one of ours; or
            it does not match its digest, or has none.
    """
    data = read_bounded(path, _MAX_JSON_BYTES)
    try:
        value = json.loads(data)
        digest = value.pop(_DIGEST, None) if isinstance(value, dict) else None
        is_whole = digest is not None and digest == fingerprint(value)
    except RecursionError as error:
        message = "it is nested too deeply"
        raise ValueError(message) from error
    if not isinstance(value, dict):
        message = "it is not a JSON object"
        raise ValueError(message)  # noqa: TRY004 - concerns the file, not an argument
    if not is_whole:
        message = "its content does not match its digest" if digest else "it has no digest"
        raise ValueError(message)
    return value


def read_bounded(path: Path, most: int) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than any of ours, and could fill the memory.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > most:
            message = f"it is larger than {most >> 20} MiB"
            raise ValueError(message)
        return file.read()


def storage_error(path: Path, error: OSError) -> StorageError:
    """Return the error for a file that could not be written."""
    reason = error.strerror or str(error)
    if error.errno in OTHER_KINDS:
        advice = "Something else is in its place. Run: localembed doctor --repair"
        return StorageError(f"Cannot write {path}: {reason}. {advice}")
    if error.errno == errno.ENAMETOOLONG:
        return StorageError(f"Cannot write {path}: {reason}. Move the workspace to a shorter path.")
    return StorageError(
        f"Cannot write {path}: {reason}. Free some space or fix the permissions, then run "
        "the same command again; everything indexed so far is kept."
    )


def sync_file(name: str) -> None:
    """Flush a file's content to disk.

    Raises:
        OSError: it cannot be flushed.
    """
    descriptor = os.open(name, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to disk.

    Raises:
        OSError: they cannot be flushed.
    """
    if sys.platform != "win32":  # Windows cannot open folders, and does not need to
        sync_file(os.fspath(folder))


def sync_tree(folder: Path) -> None:
    """Flush everything below a folder to disk, contents before names.

    Raises:
        OSError: something cannot be flushed.
    """
    folders = [folder]
    for path in folder.rglob("*"):
        if path.is_dir():
            folders.append(path)
        else:
            sync_file(os.fspath(path))
    for inner in reversed(folders):
        sync_folder(inner)
