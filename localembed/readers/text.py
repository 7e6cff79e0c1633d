"""Read plain text in any encoding, recognised by content."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, replace

from localembed.errors import ReadError
from localembed.readers.legacy import guess_encoding
from localembed.readers.wide import wide_encoding

# UTF-32 before UTF-16: its little-endian BOM begins with that of UTF-16.
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SNIFF_BYTES = 8192
_TEXT_CONTROLS = frozenset(b"\t\n\v\f\r\x1b\b")
_CONTROLS = bytes(b for b in range(32) if b not in _TEXT_CONTROLS) + b"\x7f"
_MAX_CONTROL_SHARE = 0.02
_ASCII = bytes(range(128))
_SHIFT_TO_JAPANESE = b"\x1b$"
_UTF8_SEQUENCE = re.compile(
    rb"[\xc0-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf7][\x80-\xbf]{3}"
    rb"|[\xe0-\xf7][\x80-\xbf]{1,2}\Z"
)
"""What UTF-8 makes of a character, also of one that it may not encode or that is cut at the end."""
_MAX_BAD_SHARE = 0.02
"""Maximum share of bad bytes in text that is not UTF-8; a few are always allowed."""
_FEW_BAD_BYTES = 3


@dataclass(frozen=True, slots=True)
class DecodedText:
    """The text of a file."""

    text: str
    """Text without its BOM, line ends unchanged."""
    encoding: str = "utf-8"
    """Encoding, by Python's name."""
    guessed: bool = False
    """Whether the encoding was guessed: there is no BOM, and it is not UTF-8."""
    bad_bytes: int = 0
    """Number of bytes that are invalid in the encoding, which U+FFFD replaces, or padding."""


def is_binary(data: bytes) -> bool:
    """Tell whether bytes are no text: they contain a NUL or too many control characters for it.

    Bytes with a BOM are text, and so are UTF-16 and UTF-32 without one, and NULs as padding at the
    end.
    """
    if data.startswith(tuple(bom for bom, _ in _BOMS)):
        return False
    return _has_controls(_without_padding(data)) and wide_encoding(data) is None


def decode(data: bytes) -> DecodedText:
    """Return the text; bytes of nearly UTF-8 that are invalid are replaced and counted.

    Raises:
        ReadError: no encoding fits, or the text contradicts its own BOM.
    """
    for bom, encoding in _BOMS[1:]:
        if data.startswith(bom):
            return _decode_wide(data[len(bom) :], encoding)
    has_bom = data.startswith(codecs.BOM_UTF8)
    marked = data[len(codecs.BOM_UTF8) :] if has_bom else data
    text = _without_padding(marked)
    has_nul = not has_bom and b"\0" in text[:_SNIFF_BYTES]
    found = None if has_nul else _decode_utf8(text)
    if found is None and not has_bom and _has_controls(text) and (wide := wide_encoding(data)):
        return replace(_decode_wide(data, wide), guessed=True)
    found = found or _decode_other(text)
    padding = len(marked) - len(text)
    return replace(found, bad_bytes=found.bad_bytes + padding) if padding else found


def _has_controls(data: bytes) -> bool:
    head = data[:_SNIFF_BYTES]
    if b"\0" in head:
        return True
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return controls > _MAX_CONTROL_SHARE * len(head)


def _without_padding(data: bytes) -> bytes:
    """Return bytes without the NULs at their end, unless there are others, or nothing else."""
    if not data.endswith(b"\0") or b"\0" in data[:_SNIFF_BYTES].rstrip(b"\0"):
        return data
    return data.rstrip(b"\0") or data


def _decode_utf8(data: bytes) -> DecodedText | None:
    """Decode UTF-8, or Japanese in ASCII bytes; None if it is neither."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return _decode_shifted(data) or DecodedText(text)


def _decode_other(data: bytes) -> DecodedText:
    """Decode what is nearly UTF-8, or in another encoding."""
    return _replace_bad(data, "utf-8") if _is_nearly_utf8(data) else _decode_legacy(data)


def _is_nearly_utf8(data: bytes) -> bool:
    """Tell whether most bytes outside ASCII form characters as UTF-8 does.

    In other encodings, most of them do not.
    """
    valid = data.decode("utf-8", "ignore")
    bytes_outside, bytes_valid = len(data.translate(None, _ASCII)), len(valid.encode())
    ascii_bytes = len(data) - bytes_outside
    if len(valid) - ascii_bytes >= len(data) - bytes_valid:
        return True
    rest, characters = _UTF8_SEQUENCE.subn(b"", data)
    return characters > 0 and characters >= len(rest.translate(None, _ASCII))


def _replace_bad(data: bytes, encoding: str) -> DecodedText:
    """Decode Unicode, replacing and counting what is invalid."""
    valid = data.decode(encoding, "ignore")
    bad_bytes = len(data) - len(valid.encode(encoding))
    return DecodedText(data.decode(encoding, "replace"), encoding, bad_bytes=bad_bytes)


def _decode_wide(data: bytes, encoding: str) -> DecodedText:
    """Decode UTF-16 or UTF-32, of which a few bytes may be invalid, as at the end of a cut file."""
    try:
        return DecodedText(data.decode(encoding), encoding)
    except UnicodeDecodeError as error:
        found = _replace_bad(data, encoding)
        if 2 * found.bad_bytes < len(data) and not _has_many_bad_bytes(found.bad_bytes, data):
            return found
        message = f"cannot be decoded as {encoding}: {error.reason} at byte {error.start}"
        raise ReadError(message) from error


def _decode_shifted(data: bytes) -> DecodedText | None:
    """Decode the Japanese encoding that has only ASCII bytes; None if it is not that."""
    if b"\x1b" not in data or _SHIFT_TO_JAPANESE not in data:  # one byte is found much faster
        return None
    try:
        return DecodedText(data.decode("iso2022_jp"), "iso2022_jp", guessed=True)
    except UnicodeDecodeError:
        return None


def _decode_legacy(data: bytes) -> DecodedText:
    encoding = guess_encoding(data)
    text = data.decode(encoding, "replace")
    bad_bytes = text.count("\ufffd")
    if _has_many_bad_bytes(bad_bytes, data):
        message = "cannot be decoded: no encoding fits"
        raise ReadError(message)
    return DecodedText(text, encoding, guessed=True, bad_bytes=bad_bytes)


def _has_many_bad_bytes(bad_bytes: int, data: bytes) -> bool:
    return bad_bytes > max(_FEW_BAD_BYTES, _MAX_BAD_SHARE * len(data))
