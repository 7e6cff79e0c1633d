"""From a file's bytes to text. A reader is one entry in `READERS`; the first that accepts reads.

A reader either returns the text, or says why there is none: `Unreadable` is policy (binary, no
reader), `ReadError` is a failure of this one file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from localembed.readers.kinds import document_kind
from localembed.readers.text import decode, is_binary

__all__ = ["READERS", "Reader", "Unreadable", "document_kind", "read_text"]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why these bytes hold no text for us; not an error."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reader:
    """One way to get text out of bytes."""

    name: str
    accepts: Callable[[bytes], bool]
    """Looks at the content alone, never at the file's name."""
    read: Callable[[bytes], str | Unreadable]
    """May raise ReadError."""


def _refuse(reason: str) -> Callable[[bytes], Unreadable]:
    return lambda _: Unreadable(reason)


def _begins(*magic: bytes) -> Callable[[bytes], bool]:
    return lambda data: data.startswith(magic)


READERS: tuple[Reader, ...] = (
    Reader("pdf", _begins(b"%PDF-"), _refuse("no reader for PDF")),
    Reader("zip", _begins(b"PK\x03\x04", b"PK\x05\x06"), _refuse("no reader for ZIP, DOCX, EPUB")),
    Reader("rtf", _begins(b"{\\rtf"), _refuse("no reader for RTF")),
    Reader("binary", is_binary, _refuse("binary")),
    Reader("text", lambda _: True, decode),
)


def read_text(data: bytes) -> str | Unreadable:
    """Return the text of a file's bytes, or why there is none.

    Raises:
        ReadError: the bytes look like text and cannot be decoded.
    """
    for reader in READERS:
        if reader.accepts(data):
            return reader.read(data)
    return Unreadable("no reader")
