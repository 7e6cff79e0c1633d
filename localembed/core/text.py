"""Paths and numbers as readable text."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable

_MAX_LINE = 2**31 - 1
"""Highest line number that a table can hold."""


def show_path(path: bytes) -> str:
    """Return a path as valid text; invalid bytes are shown as escapes."""
    return os.fsdecode(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def shell_word(path: bytes) -> str:
    """Return a path as one word of a command line that the user can copy."""
    text = os.fsdecode(path)
    if os.name == "nt":
        return f'"{text}"' if " " in text else text
    if text.isprintable():
        return shlex.quote(text)
    plain = (chr(byte) if 32 <= byte < 127 and byte not in b"'\\" else "" for byte in path)
    escapes = (known or f"\\x{byte:02x}" for known, byte in zip(plain, path, strict=True))
    return f"$'{''.join(escapes)}'"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless it is one."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def nearest_name(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name that is most like one that was mistyped, None if none is.

    Names with a common beginning count as more alike, since typing errors are rarer there.
    """
    wanted = name.lower()
    scores = {other: _likeness(wanted, other.lower()) for other in known}
    best = max(scores, key=lambda other: (scores[other], -len(other)), default=None)
    return best if best is not None and scores[best] >= cutoff else None


def _likeness(name: str, other: str) -> float:
    """Return how alike two names are, in 0-1: by letters in order, and by their beginning."""
    import difflib

    if len(name) > 1 and name in other:
        return 1.0 if other.startswith(name) else 0.9
    letters = difflib.SequenceMatcher(None, name, other).ratio()
    pairs = zip(name, other, strict=False)
    common = next((place for place, (a, b) in enumerate(pairs) if a != b), len(name))
    beginning = min(common, len(other)) / max(1, min(len(name), len(other)))
    return letters + (1 - letters) * beginning / 2


def unwritable_output(error: OSError) -> str:
    """Return the message for an error while printing, such as a full disk."""
    return (
        f"Error: The output cannot be written: {error.strerror}. Free some space, then "
        "run the same command again."
    )


def whole_number(digits: str, most: int) -> int:
    """Return the number that decimal digits say, but at most `most`: `int` refuses thousands."""
    significant = digits.lstrip("0")
    if len(significant) > len(str(most)):
        return most
    return min(int(significant or "0"), most)


def line_number(digits: str) -> int:
    """Return the line that decimal digits say, or else one that no document has."""
    return whole_number(digits, _MAX_LINE)


def is_unicode(text: str) -> bool:
    """Tell whether a text has no lone surrogates, which stand for bytes that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
