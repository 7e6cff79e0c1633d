"""Grapheme boundaries: a chunk never begins or ends inside a user-perceived character."""

from __future__ import annotations

import regex

_GRAPHEME = regex.compile(r"\X")
_APART = regex.compile(
    r"(?s)[\p{GCB=Other}--[\u1cf5\u1cf6\U00011a3a]]\p{GCB=Other}"
    r"|[\p{GCB=Control}\r\n].|.[\p{GCB=Control}\r\n]",
    regex.VERSION1,
)
"""Two characters with a grapheme boundary between them, except CR LF: most letters join no others
(UAX #29, GB999), and line ends join nothing (GB4, GB5). The three excluded characters should join
nothing either, but `\\X` joins them to what follows."""
_MAX_LOOKBACK = 256
"""Maximum characters to go back for a grapheme boundary."""


def grapheme_floor(text: str, place: int) -> int:
    """Return the last grapheme boundary at or before `place` (UAX #29)."""
    if place <= 0 or place >= len(text):
        return max(0, min(place, len(text)))
    around = text[place - 1 : place + 1]
    if around != "\r\n" and (around.isascii() or _APART.match(around)):
        return place
    at = _safe_start(text, place)
    while at < place:
        match = _GRAPHEME.match(text, at)
        if match is None or match.end() > place:
            return at
        at = match.end()
    return place


def grapheme_ceiling(text: str, place: int) -> int:
    """Return the first grapheme boundary at or after `place`."""
    floor = grapheme_floor(text, place)
    if floor == place:
        return place
    match = _GRAPHEME.match(text, floor)
    return match.end() if match else place


def _safe_start(text: str, place: int) -> int:
    """Return an earlier grapheme boundary that needs no context: before an ASCII character."""
    at = place - 1
    stop = max(0, place - _MAX_LOOKBACK)
    while at > stop and not (text[at].isascii() and text[at] != "\n"):
        at -= 1
    return at
