"""Read the plain tar that `creation` writes, and nothing else that a tar may hold.

The standard library's reader takes headers of any size into memory, fills sparse files with zeros
and knows a dozen kinds of members. This one reads regular files in a row, with long names as GNU
tar writes them.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import IO

_UNIT = tarfile.BLOCKSIZE
_BLOCK = 1 << 20
_MAX_NAME = 4096
_REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE)


class Archive:
    """The members of a tar, one after the other."""

    def __init__(self, file: IO[bytes]) -> None:
        """Begin at the start of a file."""
        self._file = file
        self._rest = 0
        """Bytes of the current member, with its padding, that were not read yet."""

    def next(self) -> tarfile.TarInfo | None:
        """Return the header of the next member, None at the end.

        Raises:
            tarfile.TarError: it is damaged, or no regular file.
        """
        self._skip()
        header = self._header()
        if header is not None and header.type == tarfile.GNUTYPE_LONGNAME:
            if not 0 < header.size <= _MAX_NAME:
                message = "a name is too long"
                raise tarfile.ReadError(message)
            name = b"".join(self.content(header)).rstrip(b"\0").decode("utf-8", "surrogateescape")
            self._skip()
            header = self._header()
            if header is not None:
                header.name = name
        if header is None:
            return None
        if header.type not in _REGULAR or header.size < 0:
            message = f"{header.name[:200]!r} is no regular file and does not match its list"
            raise tarfile.ReadError(message)
        return header

    def content(self, header: tarfile.TarInfo) -> Iterator[bytes]:
        """Yield the bytes of the current member, block by block.

        Raises:
            tarfile.TarError: the file ends before.
        """
        self._rest = -(-header.size // _UNIT) * _UNIT
        left = header.size
        while left:
            block = self._take(min(left, _BLOCK))
            left -= len(block)
            yield block

    def is_at_end(self) -> bool:
        """Return whether nothing but zeros follows."""
        while block := self._file.read(_BLOCK):
            if block.strip(b"\0"):
                return False
        return True

    def _header(self) -> tarfile.TarInfo | None:
        block = self._file.read(_UNIT)
        if not block.strip(b"\0"):
            return None
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")

    def _take(self, count: int) -> bytes:
        block = self._file.read(count)
        self._rest -= len(block)
        if len(block) < count:
            message = "unexpected end of data"
            raise tarfile.ReadError(message)
        return block

    def _skip(self) -> None:
        while self._rest > 0:
            self._take(min(self._rest, _BLOCK))
