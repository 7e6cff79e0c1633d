"""Find the definitions in code, by the tables of `languages`.

Comments and strings are blanked first, so that no word or brace inside them counts. Then a
definition ends at its closing brace or, where a language's style shows it, by indentation. No
grammar is needed: what cannot be recognised has no heading.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np

from localembed.chunking.blanking import blanked
from localembed.chunking.braces import braced_definitions
from localembed.chunking.definitions import Definition
from localembed.chunking.headings import Heading, one_line
from localembed.chunking.indentation import indented_definitions
from localembed.chunking.languages import Braces, Language, language

_OTHER = ord("x")
"""Stands for a character that is not ASCII: nearly always a letter."""


def code_headings(text: str, name: str) -> list[Heading]:
    """Return the definitions in code in order."""
    rules = language(name)
    raw = _ascii(text)
    data = blanked(raw, rules)
    if isinstance(rules, Braces):
        found = braced_definitions(data, rules)
    else:
        found = indented_definitions(data, raw, rules)
    return _headings(text, data, sorted(found), rules)


def _ascii(text: str) -> bytes:
    """Return one ASCII byte per character, with a blank for a carriage return."""
    if text.isascii():
        data = text.encode("ascii")
    else:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        data = np.where(codes < 128, codes, _OTHER).astype(np.uint8).tobytes()
    return data.replace(b"\r", b" ")


def _headings(text: str, data: bytes, found: list[Definition], rules: Language) -> list[Heading]:
    """Return definitions as headings, with the comments and decorators directly above each."""
    attached = _attached(rules.comments)
    previous = 0
    headings: list[Heading] = []
    for definition in found:
        line = data.rfind(b"\n", 0, definition.start) + 1
        start = definition.start
        if line >= previous and not data[line:start].strip():
            start = _with_attached_lines(text, line, previous, attached)
        title = one_line(text[slice(*definition.name)])
        at_margin = line == definition.start
        headings.append(Heading(start, definition.end, definition.stop, title, at_margin))
        previous = definition.end
    return headings


def _with_attached_lines(text: str, start: int, least: int, attached: re.Pattern[str]) -> int:
    """Return where the decorators and comments directly above a definition begin."""
    while start > least:
        above = text.rfind("\n", 0, start - 1) + 1
        if above < least or not attached.match(text, above):
            break
        start = above
    return start


@cache
def _attached(comments: str) -> re.Pattern[str]:
    return re.compile(rf"[ \t]*(?:{comments})")
