"""Find the line of a chunk that a query is after."""

from __future__ import annotations

import re
from collections.abc import Sequence

from localembed.search.definitions import Definitions, is_identifier

_WORD = re.compile(r"\w+")
_BEGINNING = 4
"""Characters that tell whether two words are the same but for their endings."""


def best_line(text: str, query: str) -> tuple[int, str]:
    """Return (index from 0, line) of the line that says most about a query.

    It is the line that defines the query if that is one identifier; else the first with the most
    distinct query words; else the first with a letter or digit.
    """
    lines = text.split("\n")
    best = _defining(lines, query) if is_identifier(query) else None
    if best is None:
        best = _fullest(text, query_words(query))
    if best is None:
        best = next((place for place, line in enumerate(lines) if _WORD.search(line)), 0)
    return best, lines[best].rstrip("\r")


def _defining(lines: Sequence[str], name: str) -> int | None:
    definitions = Definitions(name)
    return next((n for n, line in enumerate(lines) if definitions.hold("", line)), None)


def _fullest(text: str, pattern: re.Pattern[str] | None) -> int | None:
    """Return the first line with the most distinct query words, None if there are none."""
    found: dict[int, set[str]] = {}
    line = place = 0
    for match in pattern.finditer(text) if pattern else ():
        line += text.count("\n", place, match.start())
        place = match.start()
        found.setdefault(line, set()).add(match[0].lower()[:_BEGINNING])
    return max(found, key=lambda n: (len(found[n]), -n), default=None)


def query_words(query: str) -> re.Pattern[str] | None:
    """Return a pattern for a query's words and their inflections; words with digits match as is."""
    stems = {
        re.escape(word[: max(3, len(word) - 2)])
        if len(word) > 3 and word.isalpha()
        else re.escape(word) + r"\b"
        for word in _WORD.findall(query.lower())
        if len(word) > 2
    }
    if not stems:
        return None
    return re.compile(rf"\b(?:{'|'.join(sorted(stems))})\w*", re.IGNORECASE)


def distinct(line: str, pattern: re.Pattern[str] | None) -> set[str]:
    """Return the beginnings of the query words in a line, each once."""
    return {match.lower()[:_BEGINNING] for match in pattern.findall(line)} if pattern else set()
