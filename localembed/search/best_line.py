"""Find the line of a chunk that a query is after."""

from __future__ import annotations

import re

from localembed.search.definitions import Definitions, is_identifier

_WORD = re.compile(r"\w+")


def best_line(text: str, query: str) -> tuple[int, str]:
    """Return (index from 0, line) of the line that says most about a query.

    It is the line that defines the query if that is one identifier; else the first with the most
    distinct query words; else the first with a letter or digit.
    """
    pattern = query_words(query)
    definitions = Definitions(query) if is_identifier(query) else None
    lines = text.split("\n")

    def worth(place: int) -> tuple[bool, int, bool, int]:
        line = lines[place]
        defines = definitions is not None and definitions.hold("", line)
        return defines, len(distinct(line, pattern)), bool(_WORD.search(line)), -place

    best = max(range(len(lines)), key=worth)
    return best, lines[best].rstrip("\r")


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
    return {match.lower()[:4] for match in pattern.findall(line)} if pattern else set()
