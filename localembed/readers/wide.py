"""Recognise UTF-16 and UTF-32 text that has no byte order mark."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

_WIDTHS = {"utf-32-le": 4, "utf-32-be": 4, "utf-16-le": 2, "utf-16-be": 2}
_SAMPLE_BYTES = 4096
_MIN_CHARS = 2
_MAX_BLOCKS = 8
"""Maximum number of blocks of 256 characters that a text in an alphabet uses."""
_MIN_EAST_ASIAN = 0.9
_MAX_ASCII_PAIRS = 0.5
"""Maximum share of characters of which both bytes are ASCII: "ab" is also one Chinese character."""


def wide_encoding(data: bytes) -> str | None:
    """Return the encoding of bytes that are UTF-16 or UTF-32 without a byte order mark.

    It must make nothing but assigned characters, either of a few alphabets or of East Asia, some of
    them in ASCII, such as spaces. Binary data fails one of these within a few bytes.
    """
    head = data[:_SAMPLE_BYTES]
    shares = {name: _usual_share(head, name, width) for name, width in _WIDTHS.items()}
    best = max(shares, key=lambda name: shares[name])
    return best if shares[best] > 0 else None


def _usual_share(head: bytes, encoding: str, width: int) -> float:
    """Return the share of characters that every text has; 0 if this is no text."""
    whole = head[: len(head) // width * width]
    text = whole.decode(encoding, "ignore")
    if len(text) < _MIN_CHARS or len(text.encode(encoding)) < 0.98 * len(whole) - width:
        return 0.0
    if not all(map(_is_text, text)) or _is_pairs_of_ascii(text):
        return 0.0
    if len({ord(char) >> 8 for char in text}) > _MAX_BLOCKS and not _is_east_asian(text):
        return 0.0
    return sum(char.isascii() or "\u3000" <= char <= "\u30ff" for char in text) / len(text)


def _is_pairs_of_ascii(text: str) -> bool:
    """Tell whether most characters have two bytes that are characters of ASCII by themselves."""
    pairs = sum(0x20 <= ord(char) & 0xFF < 0x7F and 0x20 <= ord(char) >> 8 < 0x7F for char in text)
    return pairs > _MAX_ASCII_PAIRS * len(text)


def _is_east_asian(text: str) -> bool:
    dense = sum(char.isascii() or "\u2e80" <= char <= "\ud7ff" or char >= "\uf900" for char in text)
    return dense >= _MIN_EAST_ASIAN * len(text)


@lru_cache(maxsize=1 << 12)
def _is_text(char: str) -> bool:
    return char in "\t\n\r\f\v\x1b\b" or unicodedata.category(char) not in ("Cc", "Cn", "Co", "Cs")
