"""Read a bundle without trusting it: only the files that it lists, each with its hash, no links.

A bundle is a plain tar. Its members are read in one pass in the order that its first one lists, so
names that lead out of a folder, links, devices and unlisted files are never extracted. The list is
bounded, and names only files that `bundle create` writes.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tarfile
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from localembed.core import private
from localembed.core.files import storage_error
from localembed.errors import BundleError, ModelRefusedError
from localembed.models.bundle.archive import Archive
from localembed.models.bundle.contents import (
    INDEX,
    MAX_JSON_BYTES,
    MAX_MEMBERS,
    NAME,
    Contents,
    Member,
    is_index_file,
    parsed,
)
from localembed.models.safety import is_wanted

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
_DEEPEST, _LONGEST = 16, 255
_PART = re.compile(r"[\w@+=,~ -][\w.@+=,~ -]*|\.[\w@+=,~-][\w.@+=,~-]*")


def verify_bundle(path: Path) -> Contents:
    """Read a whole bundle and check every file against its hash; return its contents.

    Raises:
        BundleError: it is damaged, unsafe, or written by a newer localembed.
    """
    with opened(path) as (contents, files):
        for _ in files:
            pass
    return contents


@contextmanager
def opened(path: Path, target: Path | None = None) -> Iterator[tuple[Contents, Iterator[Member]]]:
    """Yield a bundle's contents and an iterator that checks one member after the other.

    Args:
        path: the bundle's path.
        target: folder to write the members to; None to write nothing.

    Raises:
        BundleError: see `verify_bundle`.
    """
    try:
        with path.open("rb") as file:
            archive = Archive(file)
            first = archive.next()
            if first is None or first.name != NAME:
                raise BundleError(f"{path} is not a localembed bundle.")
            if first.size > MAX_JSON_BYTES:
                raise BundleError(f"{path} is refused: its list of contents is too long.")
            contents = parsed(b"".join(archive.content(first)), str(path))
            _check_names(contents, path)
            _check_files(contents, path)
            if contents.bytes > path.stat().st_size:
                raise BundleError(f"{path} is incomplete: it is smaller than its list says.")
            yield contents, _members(archive, contents, path, target)
    except (tarfile.TarError, EOFError) as error:
        raise BundleError(f"{path} is damaged or incomplete: {error}.") from error
    except FileNotFoundError as error:
        if Path(str(error.filename)) != path:
            raise
        raise BundleError(f"{path} does not exist.") from error
    except IsADirectoryError as error:
        raise BundleError(f"{path} is a folder, not a bundle.") from error
    except OSError as error:
        if target is not None and error.errno in _DISK:
            raise storage_error(target, error) from error
        raise BundleError(f"{path} cannot be read: {error.strerror or error}.") from error


def _members(
    archive: Archive, contents: Contents, path: Path, target: Path | None
) -> Iterator[Member]:
    for member in contents.members:
        found = archive.next()
        if found is None:
            raise BundleError(f"{path} is incomplete: {member.name} is missing.")
        if found.name != member.name or found.size != member.size:
            raise BundleError(f"{path} is damaged: {found.name} does not match its list.")
        _check_member(archive.content(found), member, path, target)
        yield member
    if archive.next() is not None or not archive.is_at_end():
        raise BundleError(f"{path} contains more than its list names.")


def _check_member(blocks: Iterator[bytes], member: Member, path: Path, target: Path | None) -> None:
    sha = hashlib.sha256()
    place = target / member.name if target is not None else None
    if place is not None:
        private.make_folder(place.parent)
    with nullcontext() if place is None else private.create_file(place) as output:
        for block in blocks:
            sha.update(block)
            if output is not None:
                output.write(block)
    if sha.hexdigest() != member.sha256:
        message = (
            f"{path} is damaged: the sha256 of {member.name} is {sha.hexdigest()}, expected "
            f"{member.sha256}. Copy the bundle again."
        )
        raise BundleError(message)


def _check_names(contents: Contents, path: Path) -> None:
    """Refuse a list with names outside the bundle's own folders, or that a disk takes for one."""
    models = {f"models/{spec.name}/" for spec in contents.models}
    files: set[str] = set()
    folders: set[str] = set()
    spelled: dict[str, str] = {}
    if len(contents.members) > MAX_MEMBERS:
        raise BundleError(f"{path} is refused: its list of contents is too long.")
    for member in contents.members:
        inside = member.name.startswith(INDEX) or any(map(member.name.startswith, models))
        parts = member.name.split("/")
        short = len(parts) <= _DEEPEST and max(len(os.fsencode(part)) for part in parts) <= _LONGEST
        if not inside or not short or not all(map(_PART.fullmatch, parts)):
            raise BundleError(f"{path} is refused: the name {member.name[:200]!r} leads out of it.")
        above = {"/".join(parts[:count]) for count in range(1, len(parts))}
        is_twin = any(spelled.setdefault(_folded(n), n) != n for n in (*above, member.name))
        if is_twin or member.name in files or member.name in folders or above & files:
            raise BundleError(f"{path} is refused: {member.name!r} is in its list twice.")
        files.add(member.name)
        folders |= above
    for place in models:
        if place.rstrip("/") not in folders:
            raise BundleError(f"{path} is damaged: it contains nothing below {place}.")


def _folded(name: str) -> str:
    """Return what a disk that tells neither case nor accents' forms apart would compare."""
    return unicodedata.normalize("NFKC", name.casefold())


def _check_files(contents: Contents, path: Path) -> None:
    """Refuse a list with files that no bundle needs.

    Raises:
        BundleError: a file of an index.
        ModelRefusedError: a file of a model.
    """
    for member in contents.members:
        if member.name.startswith(INDEX):
            if not is_index_file(member.name.removeprefix(INDEX)):
                raise BundleError(f"{path} is refused: {member.name!r} is no part of an index.")
        elif not is_wanted(member.name.split("/", 2)[2]):
            message = (
                f"{path} is refused: {member.name} is not read from a model. Only safetensors and "
                "plain JSON are, and no option allows code."
            )
            raise ModelRefusedError(message)
