"""Replace small files in one step that survives a power cut."""

from __future__ import annotations

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


def write_atomically(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Replace a file in one step, so that a reader sees the old content or the new.

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
    """Replace a file by a JSON object and its digest (see `write_atomically`)."""
    text = json.dumps({**value, _DIGEST: fingerprint(value)}, indent=1, ensure_ascii=False)
    write_atomically(path, text.encode("utf-8", "backslashreplace") + b"\n", sync=sync)


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object that `write_json` wrote; one without a digest is taken as it is.

    Raises:
        OSError: it is not there or cannot be read.
        ValueError: it is no JSON object, or not the one that was written.
    """
    value = json.loads(path.read_bytes())
    if not isinstance(value, dict):
        message = "it holds no JSON object"
        raise ValueError(message)  # noqa: TRY004 - of the file, not of an argument
    digest = value.pop(_DIGEST, None)
    if digest is not None and digest != fingerprint(value):
        message = "it is not what was written: its digest differs"
        raise ValueError(message)
    return value


def storage_error(path: Path, error: OSError) -> StorageError:
    """Return the sentence for a disk that would not do as told."""
    reason = error.strerror or str(error)
    return StorageError(
        f"Cannot write {path}: {reason}. Free some space or fix the permissions, then run "
        "the same command again; what was indexed so far is kept."
    )


def sync_file(name: str) -> None:
    """Let a file's content reach the disk.

    Raises:
        OSError: it did not.
    """
    descriptor = os.open(name, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Let a folder's names reach the disk.

    Raises:
        OSError: they did not.
    """
    if sys.platform != "win32":  # folders cannot be opened there, and need not be
        sync_file(os.fspath(folder))


def sync_tree(folder: Path) -> None:
    """Let everything below a folder reach the disk, contents before names.

    Raises:
        OSError: it did not.
    """
    folders = [folder]
    for path in folder.rglob("*"):
        if path.is_dir():
            folders.append(path)
        else:
            sync_file(os.fspath(path))
    for inner in reversed(folders):
        sync_folder(inner)
