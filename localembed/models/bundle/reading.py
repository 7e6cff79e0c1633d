"""Read a bundle without trusting it: only the files that it lists, each with its hash, no links.

A bundle is a plain tar. Its members are read in one pass in the order that its first one lists, so
names that lead out of a folder, links, devices and unlisted files are never extracted.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO

from localembed.core.files import storage_error
from localembed.errors import BundleError
from localembed.models.bundle.contents import INDEX, NAME, Contents, Member, parsed

_BLOCK = 1 << 20
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
_MAX_JSON = 64 << 20
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
        with tarfile.open(path, "r|") as archive:
            first = archive.next()
            if first is None or first.name != NAME or not first.isreg() or first.size > _MAX_JSON:
                raise BundleError(f"{path} is not a localembed bundle.")
            contents = parsed(_stream(archive, first, path).read(), str(path))
            _check_names(contents, path)
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
    archive: tarfile.TarFile, contents: Contents, path: Path, target: Path | None
) -> Iterator[Member]:
    for member in contents.members:
        found = archive.next()
        if found is None:
            raise BundleError(f"{path} is incomplete: {member.name} is missing.")
        if found.name != member.name or not found.isreg() or found.size != member.size:
            raise BundleError(f"{path} is damaged: {found.name} does not match its list.")
        _check_member(_stream(archive, found, path), member, path, target)
        yield member
    if archive.next() is not None:
        raise BundleError(f"{path} contains more than its list names.")


def _check_member(stream: IO[bytes], member: Member, path: Path, target: Path | None) -> None:
    sha = hashlib.sha256()
    place = target / member.name if target is not None else None
    if place is not None:
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with nullcontext() if place is None else place.open("wb") as output:
        while block := stream.read(_BLOCK):
            sha.update(block)
            if output is not None:
                output.write(block)
    if sha.hexdigest() != member.sha256:
        message = (
            f"{path} is damaged: the sha256 of {member.name} is {sha.hexdigest()}, expected "
            f"{member.sha256}. Copy the bundle again."
        )
        raise BundleError(message)


def _stream(archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> IO[bytes]:
    stream = archive.extractfile(member)
    if stream is None:
        raise BundleError(f"{path} is damaged: {member.name} is not a file.")
    return stream


def _check_names(contents: Contents, path: Path) -> None:
    """Refuse a list with names outside the bundle's own folders."""
    models = {f"models/{spec.name}/" for spec in contents.models}
    seen: set[str] = set()
    folders: set[str] = set()
    for member in contents.members:
        inside = member.name.startswith(INDEX) or any(map(member.name.startswith, models))
        parts = member.name.split("/")
        short = len(parts) <= _DEEPEST and max(len(os.fsencode(part)) for part in parts) <= _LONGEST
        if not inside or not short or not all(map(_PART.fullmatch, parts)):
            raise BundleError(f"{path} is refused: the name {member.name[:200]!r} leads out of it.")
        above = {"/".join(parts[:count]) for count in range(1, len(parts))}
        if member.name in seen | folders or above & seen:
            raise BundleError(f"{path} is refused: {member.name!r} is in its list twice.")
        seen.add(member.name)
        folders |= above
    for place in models:
        if place.rstrip("/") not in folders:
            raise BundleError(f"{path} is damaged: it contains nothing below {place}.")
