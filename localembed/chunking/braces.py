"""Find definitions that end at a closing brace.

For each `{` the text in front of it, from the last `;`, `{` or `}` on, is its head; a head that
looks like a definition gives one, which ends at the matching `}`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from localembed.chunking.definitions import MAX_DEPTH, Definition
from localembed.chunking.heads import Candidate, Head, holds_members, is_inner, read_head

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localembed.chunking.languages import Braces

_OPEN_PAREN, _CLOSE_PAREN, _OPEN, _CLOSE, _SEMICOLON = range(1, 6)
_MARKS = np.zeros(256, np.uint8)
_MARKS[list(b"(){};")] = (_OPEN_PAREN, _CLOSE_PAREN, _OPEN, _CLOSE, _SEMICOLON)
_BLOCK = 1 << 20
_LINE_FEED = ord("\n")
_LINE_BELOW = re.compile(rb"[ \t]*\n[ \t\n]*(?<=\n)[A-Za-z_]")


def braced_definitions(data: bytes, language: Braces) -> list[Definition]:
    """Return the definitions in blanked code, each up to its closing brace, in no order."""
    nesting = _Nesting(data, language)
    parens = opened = 0  # parentheses open since the head began, and where the outermost is
    for place, mark in _marks(data):
        if mark == _OPEN_PAREN:
            parens += 1
            if parens == 1:
                opened = place
        elif mark == _CLOSE_PAREN:
            if parens == 1:
                nesting.groups.append((opened, place))
            parens = max(0, parens - 1)
        elif mark == _OPEN:
            nesting.open(place, parens)
            parens = 0
        elif mark == _CLOSE:
            parens = nesting.close(place)
        elif not parens or _LINE_BELOW.match(data, place + 1):
            # A parenthesis still open where a line begins in the first column is one too many.
            parens = 0
            nesting.begin_head(place + 1)
    nesting.close_all()
    return nesting.found


def _marks(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the places of parentheses, braces and semicolons, and which each is."""
    for begin in range(0, len(data), _BLOCK):
        marks = _MARKS[np.frombuffer(data, np.uint8, min(_BLOCK, len(data) - begin), begin)]
        places = np.flatnonzero(marks)
        yield from zip((places + begin).tolist(), marks[places].tolist(), strict=True)


class _Open(NamedTuple):
    """A brace that is not closed yet."""

    place: int
    goes_on: bool
    """Whether the head goes on behind the `}`."""
    head_begin: int
    parens: int
    """Parentheses open around it since its head began."""
    groups: list[tuple[int, int]]
    head: Head | None
    """The definition that it opens."""
    type_name: bytes | None
    """For `Candidate.type_name` of what is inside it."""


class _Nesting:
    """The braces that are open at a place, and the definitions found before it."""

    def __init__(self, data: bytes, language: Braces) -> None:
        self.found: list[Definition] = []
        self.groups: list[tuple[int, int]] = []
        """Where the outermost parentheses of the head open and close."""
        self._data = data
        self._language = language
        self._head_begin = 0
        self._stack: list[_Open] = []
        self._depth = 0
        self._at_margin: list[int] = []
        """Places in the stack of functions that begin in the first column."""

    def begin_head(self, place: int) -> None:
        """Let the next head begin at `place`."""
        self._head_begin = place
        if self.groups:
            self.groups = []

    def open(self, place: int, parens: int) -> None:
        """Take in a `{` with so many parentheses open around it since its head began."""
        around = self._stack[-1].type_name if self._stack else b""
        head: Head | None = None
        inside: bytes | None = None
        goes_on = parens > 0
        if not parens and self._depth < MAX_DEPTH:
            candidate = Candidate(self._head_begin, place, self.groups, around)
            goes_on = is_inner(self._data, candidate, self._language)
            head = None if goes_on else read_head(self._data, candidate, self._language)
            if head:
                inside = self._enter(head)
            elif holds_members(self._data, candidate, self._language):
                inside = around or b""
        entry = _Open(place, goes_on, self._head_begin, parens, self.groups, head, inside)
        self._stack.append(entry)
        self.groups = []
        self._head_begin = place + 1

    def close(self, place: int) -> int:
        """Take in a `}`; return how many parentheses are open since the head began."""
        if self._at_margin and _first_column(self._data, place):
            # Where a brace is missing, it is missing inside this function.
            while len(self._stack) > self._at_margin[-1] + 1:
                self._pop(place)
        entry = self._pop(place + 1) if self._stack else None
        if entry and entry.goes_on:
            self._head_begin, self.groups = entry.head_begin, entry.groups
            return entry.parens
        self.begin_head(place + 1)
        return 0

    def close_all(self) -> None:
        """End what is still open with the document."""
        while self._stack:
            self._pop(len(self._data))

    def _enter(self, head: Head) -> bytes | None:
        """Count a definition as open; return the type's name for what is inside it."""
        self._depth += 1
        if not head.is_function:
            return head.type_name
        if _first_column(self._data, head.start):
            self._at_margin.append(len(self._stack))
        return None

    def _pop(self, stop: int) -> _Open:
        entry = self._stack.pop()
        if self._at_margin and self._at_margin[-1] == len(self._stack):
            self._at_margin.pop()
        if entry.head:
            self._depth -= 1
            name = entry.head.name
            self.found.append(Definition(entry.head.start, entry.place + 1, stop, name))
        return entry


def _first_column(data: bytes, place: int) -> bool:
    return place == 0 or data[place - 1] == _LINE_FEED
