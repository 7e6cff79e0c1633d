"""Recognise one path under several spellings: links, letter case, Unicode forms and mounts."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Callable

Identity = tuple[int, int]
"""Device and inode."""


def folder_identity(path: bytes) -> Identity | None:
    """Return what identifies a folder, None for anything else: files may have hard links."""
    try:
        status = os.stat(path)  # noqa: PTH116 - bytes
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None


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


def canonical_entry(path: bytes) -> bytes:
    """Return the canonical path of an entry of a folder, which may itself be a link."""
    folder, name = os.path.split(path)
    if name in (b"", b".", b".."):
        return canonical(path)
    folder = canonical(folder or b".")
    return os.path.join(folder, _listed(folder, name))  # noqa: PTH118 - bytes


def place_below(
    path: bytes,
    folder: bytes,
    identity: Callable[[bytes], Identity | None] = folder_identity,
) -> bytes | None:
    """Return an absolute path relative to a folder, empty for the folder itself, or None.

    Args:
        path: the path.
        folder: the folder; another name of the same folder, such as a bind mount, is the same.
        identity: `folder_identity`, or a cache of it.
    """
    if path == folder:
        return b""
    if is_below(path, folder):
        return os.path.relpath(path, folder)
    wanted = identity(folder)
    above = path
    while wanted is not None:
        if identity(above) == wanted:
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
