"""The normal form of text in which full text indexes chunks and reads queries.

Names are split into words and compounds into parts; accents, compatibility forms and invisible
characters are removed before the analyser stems, so that every spelling of a word is one word.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from localembed.types.documents import Chunk, Document

_WORD_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_COMPOUND = re.compile(r"\b(?:[A-Z]?[a-z][a-z0-9]*+[A-Z]|[A-Z]{2,}[a-z])[A-Za-z0-9]*+\b")
"""A word with a capital after a small letter, or a small letter after two capitals."""
_CAPITAL_INSIDE = re.compile(r"[A-Z](?:(?<=[a-z0-9][A-Z])|[A-Z][a-z])")
"""A match in every compound; searching for capitals like this is six times faster."""
_SYMBOLS = re.compile(r"(?<![A-Za-z0-9_])([A-Za-z]{1,2})(\+\+|#)(?![\w+#])")
"""A name that ends in symbols, which the analyser would drop: C++, C#, F#, g++."""
_SYMBOL_NAMES = {"++": "plusplus", "#": "sharp"}
_MARKS = re.compile(
    "[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u064b-\u065f\u0670\u0640]+"
)
"""Accents of Latin, Greek and Cyrillic letters, points of Hebrew, vowel signs of Arabic and its
stretching. Marks of other scripts, such as Thai vowels, are letters to their readers."""
_INVISIBLE = re.compile("[\u00ad\u034f\u180e\u2060\ufeff\u200b-\u200f\u202a-\u202e\u2066-\u2069]+")
"""Soft hyphen, zero-width characters and marks of the writing direction."""
_LETTERS = {
    **dict.fromkeys("\u2018\u2019\u02bc\u02b9\uff07", "'"),
    **dict.fromkeys(map(chr, range(0x2010, 0x2016)), "-"),
    **dict(zip("øđłħıðŧ", "odlhidt", strict=True)),
    "æ": "ae",
    "œ": "oe",
    "þ": "th",
}
"""Apostrophes and hyphens of all kinds, and letters that are not a letter with an accent."""
_LETTER = re.compile(f"[{''.join(_LETTERS)}]")
"""One of these; to find the few there are is faster than to look each character up."""
_NO_WORD = re.compile("[^A-Za-z0-9]+")
_ASCII = bytes(
    ord(chr(code).lower()) if chr(code).isalnum() or chr(code) in "\n'._,:;" else ord(" ")
    for code in range(128)
).ljust(256)
"""ASCII in lower case; what no word contains becomes a space, which takes 7% less space on disk."""


def search_text(document: Document, chunk: Chunk) -> str:
    """Return the words of path and heading, the text, and the parts of compounds, all normal."""
    names = f"{document.display} {chunk.heading}"
    parts = compound_parts(f"{names} {chunk.text}")
    return normal(f"{_separated(names)}\n{document.record_id}\n{chunk.text}\n{parts}")


def normal(text: str) -> str:
    """Return the normal form of a text: compatible (NFKC), lower case, without accents."""
    if text.isascii():
        return text.encode().translate(_ASCII).decode()
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).casefold()
    bare = _MARKS.sub("", unicodedata.normalize("NFD", text))
    return _LETTER.sub(lambda letter: _LETTERS[letter[0]], unicodedata.normalize("NFC", bare))


def compound_parts(text: str) -> str:
    """Return what the analyser cannot see: the parts of camelCase words, and names such as C++."""
    parts = [
        match[1] + _SYMBOL_NAMES[match[2]]
        for match in (_SYMBOLS.finditer(text) if "#" in text or "++" in text else ())
    ]
    first = _CAPITAL_INSIDE.search(text)
    if first is not None:
        begin = max(0, text.rfind(" ", 0, first.start()))
        parts += [
            part for word in _COMPOUND.findall(text, begin) for part in _WORD_PARTS.findall(word)
        ]
    return " ".join(part for part in parts if len(part) > 1)


@lru_cache(1024)
def _separated(names: str) -> str:
    """Return names with a space for everything but letters, marks and digits."""
    if names.isascii():
        return " ".join(_NO_WORD.sub(" ", names).split())
    return " ".join(
        "".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in names).split()
    )
