"""Turn a file's bytes into text. Of the entries of `READERS`, the first that accepts is used.

A reader returns the text with its encoding, or `Unreadable` if the file is skipped by policy
(binary, no reader), or raises `ReadError` if reading this file failed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from localembed.readers.kinds import code_language, document_kind
from localembed.readers.noise import noise_reason
from localembed.readers.text import DecodedText, decode, is_binary

__all__ = [
    "READERS",
    "DecodedText",
    "Reader",
    "Unreadable",
    "code_language",
    "document_kind",
    "noise_reason",
    "read_text",
]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The reason why a file is skipped; not an error."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reader:
    """One way to extract text from bytes."""

    name: str
    accepts: Callable[[bytes], bool]
    """Test of the content; the file's name is not considered."""
    read: Callable[[bytes], DecodedText | Unreadable]
    """Function that returns the text or a reason; may raise ReadError."""


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


def read_text(data: bytes) -> DecodedText | Unreadable:
    """Return the text of a file's bytes, or why the file is skipped.

    Raises:
        ReadError: the bytes look like text but cannot be decoded.
    """
    for reader in READERS:
        if reader.accepts(data):
            return reader.read(data)
    return Unreadable("no reader")
