"""Find definitions that end by indentation."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from localembed.chunking.definitions import MAX_DEPTH, Definition

if TYPE_CHECKING:
    from localembed.chunking.languages import Indented

_MAX_INDENT = 200


def indented_definitions(data: bytes, raw: bytes, language: Indented) -> list[Definition]:
    """Return the definitions in code, each up to the next line that is as far out.

    Args:
        data: the code with blanks for comments and strings.
        raw: the code.
        language: how definitions begin and end.
    """
    whole = _compiled(language.whole)
    found: list[Definition] = []
    opened: list[int] = []  # where the definitions around the next one end
    # A line feed in front makes all lines alike: searching for it is many times faster than for ^.
    data, raw = b"\n" + data, b"\n" + raw
    for match in _definition(language.definition).finditer(data):
        indent, start = len(match["indent"]), match.start("definition")
        while opened and opened[-1] <= start:
            opened.pop()
        if len(opened) >= MAX_DEPTH or indent > _MAX_INDENT:
            continue
        same_line = whole.match(data, match.end())
        end = _line_end(data, match.end())
        stop = same_line.end() if same_line else _stop(data, raw, end, indent, language)
        if opened:
            stop = min(stop, opened[-1])
        opened.append(stop)
        name = match.span("title") if match["title"] is not None else match.span("word")
        found.append(Definition(start - 1, end - 1, stop - 1, (name[0] - 1, name[1] - 1)))
    return found


def _stop(data: bytes, raw: bytes, begin: int, indent: int, language: Indented) -> int:
    """Return where the body ends that begins behind the line end `begin`."""
    last = _outward(indent, language.closing, language.continuing).search(data, begin)
    if last is None:
        return len(data)
    if last["closing"] is not None:
        return _line_end(data, last.end())
    # Comments that are as far out stand above what follows.
    code_end = begin + len(data[begin : last.start()].rstrip())
    comment = _outward(indent, "(?!)", "(?!)").search(raw, code_end, last.start())
    return comment.start() if comment else last.start()


def _line_end(data: bytes, place: int) -> int:
    end = data.find(b"\n", place)
    return len(data) if end < 0 else end


@cache
def _definition(pattern: str) -> re.Pattern[bytes]:
    if "(?P<word>" not in pattern:
        pattern += "(?P<word>)?"
    return re.compile(rf"\n(?P<indent>[ \t]*+)(?P<definition>{pattern})".encode())


@cache
def _compiled(pattern: str) -> re.Pattern[bytes]:
    return re.compile(pattern.encode())


@lru_cache(1024)
def _outward(indent: int, closing: str, continuing: str) -> re.Pattern[bytes]:
    """Return what matches a line that is at most so far in and that ends a definition."""
    return re.compile(
        rf"\n[ \t]{{0,{indent}}}+(?:(?P<closing>{closing})|(?![ \t\n]|\Z)(?!{continuing}))".encode()
    )
