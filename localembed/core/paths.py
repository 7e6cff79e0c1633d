"""Recognise one path under several spellings: links, letter case, Unicode forms and mounts."""

from __future__ import annotations

import os
import stat
import unicodedata


def canonical(path: bytes) -> bytes:
    """Return the absolute path without links, each name as its folder lists it.

    A file system that ignores letter case or Unicode forms opens a name under several spellings.
    Names of what does not exist stay as they are.
    """
    drive, rest = os.path.splitdrive(os.path.realpath(path))
    separator = os.fsencode(os.sep)
    found = drive + separator
    for name in filter(None, rest.split(separator)):
        found = os.path.join(found, _listed(found, name))  # noqa: PTH118 - bytes
    return found


def place_below(path: bytes, folder: bytes) -> bytes | None:
    """Return an absolute path relative to a folder, empty for the folder itself.

    Return None if it is not below the folder. Another name of the same folder (a bind mount) counts
    as the folder.
    """
    if path == folder:
        return b""
    if is_below(path, folder):
        return os.path.relpath(path, folder)
    wanted = _folder_identity(folder)
    above = path
    while wanted is not None:
        if _folder_identity(above) == wanted:
            return path[len(above) :].lstrip(b"/")
        if above == (above := os.path.dirname(above)):  # noqa: PTH120 - bytes
            break
    return None


def is_below(path: bytes, folder: bytes) -> bool:
    """Tell whether the text of a path lies below that of a folder."""
    return path.startswith(folder.rstrip(b"/") + b"/")


def _listed(folder: bytes, name: bytes) -> bytes:
    """Return a name as its folder lists it."""
    status = _lstat(folder, name)
    if status is None or not any(_is(_lstat(folder, other), status) for other in _variants(name)):
        return name
    try:
        names = os.listdir(folder)  # noqa: PTH208 - bytes
    except OSError:
        return name
    if name in names:
        return name
    return next((other for other in names if _is(_lstat(folder, other), status)), name)


def _variants(name: bytes) -> set[bytes]:
    """Return other spellings of a name, one of which opens it where spelling does not matter."""
    text = os.fsdecode(name)
    forms = {text.swapcase(), *(unicodedata.normalize(form, text) for form in ("NFC", "NFD"))}
    return {os.fsencode(form) for form in forms - {text}}


def _is(status: os.stat_result | None, other: os.stat_result) -> bool:
    return status is not None and os.path.samestat(status, other)


def _lstat(folder: bytes, name: bytes) -> os.stat_result | None:
    try:
        return os.lstat(os.path.join(folder, name))  # noqa: PTH118 - bytes
    except OSError:
        return None


def _folder_identity(path: bytes) -> tuple[int, int] | None:
    """Return device and inode of a folder, None for anything else: files may have hard links."""
    try:
        status = os.stat(path)  # noqa: PTH116 - bytes
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None
