"""Read plain text in any encoding, recognised by content."""

from __future__ import annotations

import codecs

from localembed.errors import ReadError

# UTF-32 before UTF-16: its little-endian BOM begins with that of UTF-16.
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SNIFF_BYTES = 8192
_WESTERN = "cp1252"
_GUESS_BYTES = 1 << 18
_TEXT_CONTROLS = frozenset(b"\t\n\v\f\r\x1b\b")
_CONTROLS = bytes(b for b in range(32) if b not in _TEXT_CONTROLS) + b"\x7f"
_MAX_CONTROL_SHARE = 0.02


def is_binary(data: bytes) -> bool:
    """Tell whether bytes have no BOM, and contain a NUL or too many control characters for text."""
    if data.startswith(tuple(bom for bom, _ in _BOMS)):
        return False
    head = data[:_SNIFF_BYTES]
    if b"\0" in head:
        return True
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return controls > _MAX_CONTROL_SHARE * len(head)


def decode(data: bytes) -> str:
    """Return the text without its BOM, line ends unchanged.

    Raises:
        ReadError: no encoding fits, or the text contradicts its own BOM.
    """
    for bom, encoding in _BOMS:
        if data.startswith(bom):
            return _decode_as(data[len(bom) :], encoding)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _decode_as(data, _guess_encoding(data))


def _decode_as(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        message = f"cannot be decoded as {encoding}: {error.reason} at byte {error.start}"
        raise ReadError(message) from error


def _guess_encoding(data: bytes) -> str:
    """Return the legacy encoding that charset-normalizer finds most likely.

    Of the encodings with the least "chaos", the one with the highest "coherence" (letters that are
    usual in some language) wins; cp1250 and cp1252 often tie there too, and cp1252 is far more
    common.
    """
    from charset_normalizer import from_bytes

    matches = from_bytes(data[:_GUESS_BYTES])
    best = matches.best()
    if best is None:
        message = "cannot be decoded: no encoding fits"
        raise ReadError(message)
    tied = [match for match in matches if match.chaos == best.chaos]
    return max(tied, key=lambda match: (match.coherence, match.encoding == _WESTERN)).encoding
