"""Tell from the text in front of a `{` which definition it opens, if any."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from localembed.chunking.languages import NOT_NAMES, SKIPPED_NAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localembed.chunking.languages import Braces

_MAX_HEAD = 2_000
"""Characters in front of a `{` that can belong to its definition."""
_MAX_NAME = 300
_MAX_GROUPS = 12
"""Parentheses of a head among which the parameters are looked for."""

_NAME = re.compile(
    rb"(?<![\w.@$#!>:-])(?:[A-Za-z_]\w*(?:<[^<>(){};]{0,80}>)?[ \t]*::[ \t\n]*){0,5}"
    rb"(?:operator[ \t]*[^\s\w(]{1,3}|operator[ \t]+[\w:<>*& ]{1,60}|operator[ \t]*\(\)|"
    rb"~?[A-Za-z_]\w*(?:[ \t]*(?=<[^(){};]{0,80}>))?)(?:<[^(){};]{0,80}>)?(?=[ \t\n]*\Z)"
)
_TYPE_BEFORE = re.compile(rb"(?:(?<!\w)(?P<word>\w+)|[>\])*&?])[ \t\n]*\Z")
_FRONT = re.compile(
    rb"(?:[\s,]|(?:public|private|protected|signals|Q_SIGNALS)\b[ \t]*(?:slots[ \t]*)?:(?!:)|"
    rb"\[[^\[\]\n]*\](?=[ \t]*\n)|@(?!interface\b)[\w.]+(?:[ \t]*\([^()]*\))?)*+"
)
"""What may stand in front of a definition: labels, attributes, annotations."""
_MEMBERS_INSIDE = re.compile(
    rb"(?:\bnew\b[^;{}=]*|\bextern|\bnamespace|\b(?:class|struct|union|enum)\b[^;(){}=]*)\s*\Z"
)
_CONSTANT = re.compile(rb"[A-Za-z_]\w*[ \t]*(?:\([^;{}]*\))?\s*\Z")
_METHOD = re.compile(
    rb"(?:\A|(?<=[\n,;{}]))[ \t]*(?:(?:public|private|protected|static|async|get|set|override|"
    rb"abstract|readonly|declare)[ \t]+)*+\*?[ \t]*(?P<name>#?[A-Za-z_$][\w$]*|\[[\w.$]+\])\??"
    rb"[ \t]*(?:<[^(){};]{0,200}>)?[ \t]*\Z"
)
_ASSIGNED = re.compile(
    rb"(?<![\w.$])(?P<name>#?[A-Za-z_$][\w$.]*(?:\[[\w$.]*\])?)\??[ \t]*"
    rb"(?::(?:[^=;{}]|=>){0,200}=(?![=>])|=(?![=>])|:)[ \t\n]*(?:async\b[ \t]*)?"
    rb"(?:<[^(){};]{0,200}>)?[ \t\n]*(?:(?:async[ \t]+)?function\b[ \t]*\*?[ \t]*)?\Z"
)
_FUNCTION = re.compile(rb"\bfunction\b[ \t]*\*?[ \t]*\Z")
_RETURNED = re.compile(rb"[ \t\n]*(?::[^;=]*)?\Z")
_IN_TYPE = re.compile(rb"[:<|&,][ \t\n]*\Z")
_IN_INITIALIZERS = re.compile(rb"\)[^;:(){}]*:(?!:)[^;]*?[\w>][ \t\n]*\Z")
_STATEMENT = re.compile(
    rb"\s*(?:\}[ \t]*)?(?:(?:if|else|for|while|switch|do|try|catch|finally|return|loop|match)\b|\Z)"
)
_FUNCTION_WORDS = (b"func", b"fn", b"fun ", b"def ")
_ONE_PARAMETER = re.compile(rb"[A-Za-z_$][\w$]*[ \t]*\Z")


class Head(NamedTuple):
    """A definition as its `{` begins."""

    start: int
    """First character, after the indentation."""
    name: tuple[int, int]
    """Where the title is."""
    is_function: bool
    type_name: bytes = b""
    """Name of the type that it defines."""


class Candidate(NamedTuple):
    """The text in front of a `{`."""

    begin: int
    """End of what is before it: a semicolon or a brace."""
    end: int
    """Place of the `{`."""
    groups: Sequence[tuple[int, int]]
    """Where its outermost parentheses open and close."""
    type_name: bytes | None
    """Name of the type around it, empty outside of types, None inside a function."""


def read_head(data: bytes, candidate: Candidate, language: Braces) -> Head | None:
    """Return the definition that a `{` opens, or None."""
    begin, end, groups, type_name = candidate
    begin = max(begin, end - _MAX_HEAD)
    line = data.rfind(b"\n", begin, end) + 1 if language.by_lines else 0
    if _STATEMENT.match(data, max(begin, line), end):
        return None
    candidate = Candidate(begin, end, groups, type_name)
    match = _keyword(data, candidate, language)
    if match:
        start = _first(data, candidate, match.start(), language)
        return Head(start, match.span(), match[0].startswith(_FUNCTION_WORDS), _inside(match[0]))
    if language.functions == "anywhere":
        return _script_function(data, candidate)
    if language.functions == "members" and type_name is not None:
        return _member(data, candidate, language)
    return None


def is_inner(data: bytes, candidate: Candidate, language: Braces) -> bool:
    """Tell whether a head goes on behind what a `{` encloses: a type, or an initial value."""
    begin, end = max(candidate.begin, candidate.end - _MAX_HEAD), candidate.end
    if language.functions == "anywhere":
        return _IN_TYPE.search(data, max(begin, end - 40), end) is not None
    if not language.preprocessor or not candidate.groups:
        return False
    last = candidate.groups[-1][1]
    first = max(begin, candidate.groups[0][1])
    return last < end and bool(_IN_INITIALIZERS.match(data, first, end))


def holds_members(data: bytes, candidate: Candidate, language: Braces) -> bool:
    """Tell whether functions may be defined in a block that defines nothing itself."""
    if language.functions != "members":
        return False
    begin = max(candidate.begin, candidate.end - _MAX_HEAD)
    front = _FRONT.match(data, begin, candidate.end)
    begin = front.end() if front else begin
    return bool(
        _MEMBERS_INSIDE.search(data, begin, candidate.end)
        or (candidate.type_name and _CONSTANT.match(data, begin, candidate.end))
    )


@cache
def _keywords(pattern: str) -> re.Pattern[bytes]:
    return re.compile(rf"(?<![\w.$-])(?:{pattern})".encode())


def _keyword(data: bytes, candidate: Candidate, language: Braces) -> re.Match[bytes] | None:
    """Return the definition that a keyword introduces."""
    pattern = _keywords(language.keywords)
    if not language.by_lines:
        return pattern.search(data, candidate.begin, candidate.end)
    match = None
    for match in pattern.finditer(data, candidate.begin, candidate.end):  # noqa: B007
        pass
    return match


def _first(data: bytes, candidate: Candidate, place: int, language: Braces) -> int:
    """Return the first character of the definition that has a name or keyword at `place`."""
    begin = candidate.begin
    if language.by_lines:
        begin = max(begin, data.rfind(b"\n", begin, place) + 1)
    front = _FRONT.match(data, begin, place)
    return front.end() if front else begin


def _inside(title: bytes) -> bytes:
    """Return the name of a type for `Candidate.type_name`, nothing for a namespace."""
    if title.startswith(b"namespace"):
        return b""
    return title.split(b"<")[0].split()[-1].rpartition(b":")[2]


def _member(data: bytes, candidate: Candidate, language: Braces) -> Head | None:
    """Return a function with a type in front of its name, or a constructor, or a macro's."""
    front = _FRONT.match(data, candidate.begin, candidate.end)
    begin = front.end() if front else candidate.begin
    bare: tuple[int, int] | None = None
    for group, close in candidate.groups[:_MAX_GROUPS]:
        name = _NAME.search(data, max(begin, group - _MAX_NAME), group) if group > begin else None
        if name is None:
            continue
        word = name[0].split(b"<")[0].strip()
        if word in NOT_NAMES:
            return None
        if word in SKIPPED_NAMES:
            continue
        before = _TYPE_BEFORE.search(data, begin, name.start()) if name.start() > begin else None
        if before and before["word"] in NOT_NAMES:
            return None
        if before or _stands_alone(word, candidate.type_name):
            return Head(begin, name.span(), is_function=True)
        bare = bare or (name.start(), close + 1)
    if bare and language.preprocessor and candidate.type_name == b"":
        return Head(begin, bare, is_function=True)
    return None


def _stands_alone(name: bytes, type_name: bytes | None) -> bool:
    """Tell whether a function's name needs no type in front of it."""
    return name == type_name or b"::" in name or name.startswith((b"~", b"operator"))


def _script_function(data: bytes, candidate: Candidate) -> Head | None:
    """Return a method, or a function that a name is given to."""
    begin, end, groups, _ = candidate
    arrow = data.rfind(b"=>", begin, end)
    is_arrow = arrow >= 0 and not data[arrow + 2 : end].strip()
    for group, close in reversed(groups[-_MAX_GROUPS:]):
        if group < begin:
            break
        low = max(begin, group - _MAX_NAME, data.rfind(b"\n", begin, group))
        if is_arrow or _FUNCTION.search(data, low, group):
            found = _ASSIGNED.search(data, low, group)
        else:
            found = _RETURNED.match(data, close + 1, end) and _METHOD.search(data, low, group)
        if found and found["name"] not in NOT_NAMES:
            return _named(data, candidate, found)
    if is_arrow:
        low = max(begin, arrow - _MAX_NAME, data.rfind(b"\n", begin, arrow))
        parameter = _ONE_PARAMETER.search(data, low, arrow)
        found = parameter and _ASSIGNED.search(data, low, parameter.start())
        if found:
            return _named(data, candidate, found)
    return None


def _named(data: bytes, candidate: Candidate, found: re.Match[bytes]) -> Head:
    line = max(candidate.begin, data.rfind(b"\n", candidate.begin, found.start("name")) + 1)
    front = _FRONT.match(data, line, found.start("name"))
    return Head(front.end() if front else line, found.span("name"), is_function=True)
