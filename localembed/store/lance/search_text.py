"""The text that full text indexes: names are split into words, compounds into parts."""

from __future__ import annotations

import re

from localembed.types.documents import Chunk, Document

_WORD_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_COMPOUND = re.compile(r"\b(?:[A-Z]?[a-z][a-z0-9]*+[A-Z]|[A-Z]{2,}[a-z])[A-Za-z0-9]{0,37}\b")
"""A word with a capital after a small letter, or a small letter after two capitals."""
_CAPITAL_INSIDE = re.compile(r"[A-Z](?:(?<=[a-z0-9][A-Z])|[A-Z][a-z])")
"""A match in every compound; searching for capitals like this is six times faster."""
_SEPARATORS = re.compile(r"[\W_]+")


def search_text(document: Document, chunk: Chunk) -> str:
    """Return the words of path and heading, the text, and the parts of compounds."""
    names = f"{document.display} {chunk.heading}"
    words = _SEPARATORS.sub(" ", names)
    parts = compound_parts(f"{names} {chunk.text}")
    return f"{words}\n{document.record_id}\n{chunk.text}\n{parts}"


def compound_parts(text: str) -> str:
    """Return the parts of camelCase words, which the analyser treats as one word each."""
    first = _CAPITAL_INSIDE.search(text)
    if first is None:
        return ""
    begin = max(0, text.rfind(" ", 0, first.start()))
    parts = [part for word in _COMPOUND.findall(text, begin) for part in _WORD_PARTS.findall(word)]
    return " ".join(part for part in parts if len(part) > 1)
