"""Find the headings of a document.

The document's kind decides what a heading is: `#` begins one in Markdown and a comment in code.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from localembed.chunking.code_structure import code_headings
from localembed.chunking.headings import Heading, nested, one_line

if TYPE_CHECKING:
    from localembed.types.documents import DocumentKind

_UNDERLINES = "=\\-~^\"'`#*+.:_"
_FENCE = re.compile(r"^ {0,3}(```+|~~~+)([^\n]*)$", re.MULTILINE)
_CLOSING_MARKS = re.compile(r"(?:^|[ \t]+)#+[ \t]*$")
_ATX = re.compile(r"^ {0,3}(#{1,6})[ \t]++(\S[^\n]*)$", re.MULTILINE)
_SETEXT = re.compile(r"^(?! {4}|[ \t]*$)([^\n]+)\n {0,3}(=+|-{2,})[ \t]*\r?$", re.MULTILINE)
_RULE_LINE = re.compile(rf"(?P<marks>([{_UNDERLINES}])\2{{2,}})[ \t]*\r?(?=\n|\Z)")
_NEXT_RULE_LINE = re.compile(rf"\n{_RULE_LINE.pattern}")
"""Rule lines after the first: searching for the line feed is many times faster than for `^`."""
_RULE = re.compile(rf"[{_UNDERLINES}\s]+")


_MAX_DIRECTIVES = 4
"""Directives that enclose each other."""
_DIRECTIVE = re.compile(
    r"\n(?P<indent>[ ]{0,24})(?P<mark>\.\.)[ ](?:(?:c|cpp|js|py|rst):)?"
    r"(?:function|class|method|classmethod|staticmethod|attribute|data|exception|module|macro|type|"
    r"struct|enum|member|var|decorator|envvar|option|cmdoption|describe|opcode|property)"
    r"::[ ]+(?P<title>[^\s(=\\][^\n(=\\]*)[^\n]*"
)

_Leveled = tuple[int, int, int, str]
"""Start, end, level and title of a heading."""


def find_headings(text: str, kind: DocumentKind, language: str = "") -> list[Heading]:
    """Return the headings of `text` in order.

    Args:
        text: a document.
        kind: which marks make a line a heading.
        language: the programming language of code.
    """
    if kind == "code":
        return code_headings(text, language)
    if kind == "markdown":
        return nested(sorted(_markdown(text)), len(text))
    titles = nested(sorted(_underlined(text)), len(text))
    described = list(_directives(text))
    return sorted([*titles, *described], key=lambda heading: heading.start)


def _directives(text: str) -> Iterator[Heading]:
    """Yield what reStructuredText directives describe, such as functions and classes."""
    opened: list[int] = []
    for match in _DIRECTIVE.finditer(text):
        indent = len(match["indent"])
        stop = _dedent(indent).search(text, match.end())
        end = stop.start() if stop else len(text)
        while opened and opened[-1] <= match.start():
            opened.pop()
        if len(opened) < _MAX_DIRECTIVES:
            opened.append(end)
            start = match.start("mark")
            yield Heading(start, match.end(), end, one_line(match["title"]), indent == 0)


@lru_cache(256)
def _dedent(indent: int) -> re.Pattern[str]:
    """Return what matches the start of a line that is at most so far in."""
    return re.compile(rf"\n[ ]{{0,{indent}}}(?=[^\s])")


def _fenced(text: str) -> list[tuple[int, int]]:
    """Return the spans of fenced code, in which `#` begins no heading."""
    spans: list[tuple[int, int]] = []
    opened: tuple[int, str] | None = None
    for match in _FENCE.finditer(text):
        mark, info = match[1], match[2].strip()
        if opened is None:
            if mark[0] == "~" or "`" not in info:
                opened = (match.start(), mark)
        elif not info and mark[0] == opened[1][0] and len(mark) >= len(opened[1]):
            spans.append((opened[0], match.end()))
            opened = None
    if opened is not None:
        spans.append((opened[0], len(text)))
    return spans


def _markdown(text: str) -> Iterator[_Leveled]:
    """Yield ATX and setext headings outside of fenced code (CommonMark 4.2, 4.3, 4.5)."""
    fences = _fenced(text)
    for match in _ATX.finditer(text):
        if not _inside(fences, match.start()):
            title = one_line(_CLOSING_MARKS.sub("", match[2].rstrip()))
            yield match.start(), match.end(), len(match[1]), title
    for match in _SETEXT.finditer(text):
        first = match[1].lstrip()
        if (
            _inside(fences, match.start())
            or first[:1] in "#>-*|="
            or not _opens(text, match.start())
        ):
            continue
        level = 1 if match[2][0] == "=" else 2
        yield match.start(), match.end(), level, one_line(match[1])


def _inside(spans: list[tuple[int, int]], place: int) -> bool:
    """Tell whether `place` lies in one of the sorted spans."""
    index = bisect.bisect_right(spans, place, key=lambda span: span[0]) - 1
    return index >= 0 and place < spans[index][1]


def _opens(text: str, start: int) -> bool:
    """Tell whether a line follows a blank line or begins the text."""
    before = text.rfind("\n", 0, max(0, start - 1)) + 1
    return start == 0 or not text[before:start].strip()


class _Title(NamedTuple):
    """A line above a line of marks, or between two."""

    start: int
    end: int
    text: str
    marks: str
    overlined: bool


def _underlined(text: str) -> Iterator[_Leveled]:
    """Yield reStructuredText titles; a style's level is the order of its first appearance."""
    rules = _rule_lines(text)
    titles = list(_between_rules(text, rules))
    covered = [(title.start, title.end) for title in titles]
    titles += [
        title
        for title in _above_rules(text, rules)
        if not _inside(covered, title.start) and _opens(text, title.start)
    ]
    styles: dict[tuple[str, bool], int] = {}
    taken = -1
    for start, end, line, marks, overlined in sorted(titles):
        title = line.rstrip()
        if start < taken or len(marks) < len(title) or _RULE.fullmatch(title):
            continue
        taken = end
        level = styles.setdefault((marks[0], overlined), len(styles) + 1)
        yield start, end, level, one_line(title)


def _rule_lines(text: str) -> dict[int, tuple[str, int]]:
    """Return the lines that repeat one mark: start → marks and end."""
    first = _RULE_LINE.match(text)
    found = chain([first] if first else [], _NEXT_RULE_LINE.finditer(text))
    return {match.start("marks"): (match["marks"], match.end()) for match in found}


def _between_rules(text: str, rules: dict[int, tuple[str, int]]) -> Iterator[_Title]:
    """Yield the titles between two equal lines of marks; each line belongs to one title at most."""
    taken = -1
    for begin, (marks, end) in rules.items():
        below = text.find("\n", end + 1)
        title = text[end + 1 : below].lstrip(" \t")
        under, last = rules.get(below + 1, ("", 0))
        if begin >= taken and below >= 0 and under == marks and title and not title[0].isspace():
            taken = last
            yield _Title(begin, last, title, marks, overlined=True)


def _above_rules(text: str, rules: dict[int, tuple[str, int]]) -> Iterator[_Title]:
    """Yield the titles above a line of marks; each line belongs to one title at most."""
    taken = 0
    for begin, (marks, end) in rules.items():
        start = text.rfind("\n", 0, max(0, begin - 1)) + 1
        title = text[start : max(start, begin - 1)]
        if start >= taken and title and not title[0].isspace():
            taken = end
            yield _Title(start, end, title, marks, overlined=False)
