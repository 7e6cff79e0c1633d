"""Recognise text that no query is after: generated code, dumps of data, encoded bytes, secrets.

Each rule is about the share of a text, so a sample of a long one is enough. A short text costs few
chunks and stays, whatever it looks like, unless it is a secret or says that it is generated.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from localembed.readers.kinds import document_kind
from localembed.readers.secret_text import find_secret, has_long_run

_MIN_CHARS = 4 << 10
_MIN_RECORDS_CHARS = 32 << 10
_BLOCKS, _BLOCK_CHARS = 4, 16 << 10
_HEADER_CHARS, _HEADER_LINES = 2_000, 30
_DO_NOT_EDIT = re.compile(r"(?i)\bdo not (?:edit|modify|change)\b|\bdon't edit\b")
_GENERATED = re.compile(r"(?i)generated")
_TEMPLATE = re.compile(r"\.in\b")
"""A template that a configuration step fills in: people wrote nearly all of it."""
_AT_GENERATED = re.compile(r"(?<![\w.@])@generated\b")
_COMMENT = re.compile(r"\s*(?:#|//|/\*|\*|--|;|%|<!--)")

_LETTERS = bytes(b for b in range(256) if b >= 0x80 or chr(b).isalpha())
_SPACES = b" \t\r\n\v\f"
_WORDS = re.compile(rb"(?:[A-Za-z]|[\x80-\xff]){3,}")
_MIN_LETTERS, _MIN_LETTERS_IN_PROSE = 0.34, 0.15
_BORDERLINE_LETTERS, _MIN_WORDS = 0.55, 0.30
_MARKUP = frozenset({"html", "htm", "xhtml", "xml"})
_PROSE = frozenset({"md", "markdown", "rst", "txt", "tex", "adoc", "asciidoc", "org"}) | _MARKUP

_MIN_PLAIN_RUN, _MIN_RUN, _MIN_BASE64 = 24, 32, 56
_RUN = bytes.maketrans(
    bytes(range(256)),
    bytes(97 if b < 0x80 and (chr(b).isalnum() or b in b"+/_-=") else 32 for b in range(256)),
)
"""Characters of base64 and hexadecimal as `a`, all others as spaces."""
_HEX = re.compile(rb"[0-9a-fA-F]+")
_MAX_ENCODED = 0.4
_MIN_DISTINCT = 8

_PACKED_SUFFIXES = frozenset({"js", "mjs", "cjs", "css", "ts", "jsx", "tsx"})
_PACKED_LINE = 1_500, 0.06
"""Characters of a long line, and the share of spaces in it, unless it is code."""
_MAX_PACKED = 0.5

_DATA_SUFFIXES = frozenset(
    {"json", "jsonl", "ndjson", "geojson", "topojson", "json5", "yaml", "yml", "xml", "plist"}
)
_TABLE_SUFFIXES = frozenset({"csv", "tsv", "psv", "tab"})
_STRING, _WORD = r'"(?:[^"\\]|\\.){0,500}+"', r'(?:[^"\\ ]|\\.){0,120}+'
_VALUE = re.compile(
    rf'({_STRING}\s*:|"{_WORD}(?: {_WORD}){{4}}+(?:[^"\\]|\\.){{0,500}}+")'
    rf"|{_STRING}|-?\d[\d.eE+:TZ-]*+"
)
"""Keys, and texts of five words or more, as its group; else short texts and numbers."""
_TAG_TEXT = re.compile(r">[^<>\s]*(?: [^<>\s]+){0,3}<")
_PLAIN_VALUE = re.compile(r"^(\s*(?:- )?[\w.-]+:) \S+(?: \S+){0,3}$")
_MIN_REPEATS = 12
_MAX_REPEATED = 0.8
_MIN_ROWS = 300
_PROSE_WORDS = 5

_SQL_ROW = re.compile(r"(?i)\s*(?:insert\s+into\b|replace\s+into\b|values\s*\(|\()")
_SQL_FILLS = re.compile(r"(?i)\b(?:insert|replace)\s+into\b|\bcopy\b[^;]{0,120}\bfrom\s+stdin\b")
_SQL_SUFFIXES = frozenset({"sql", "dump", "psql", "mysql"})
_MAX_SQL_ROWS = 0.5

_SVG = re.compile(r"(?s)\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?(?:<!DOCTYPE[^>]*>\s*)?<svg\b")
_TAG = re.compile(r"<[^<>]*>")
_STYLE = re.compile(r"(?is)<(style|script|metadata)\b.*?(?:</\1>|\Z)")
_MIN_SVG_TEXT = 0.04
_MIN_PAGE_CHARS, _MAX_PAGE_CHARS = 32 << 10, 4 << 20
_MIN_PAGE_TEXT = 0.015


@dataclass(frozen=True)
class _Text:
    """A text with what the rules measure of it, each computed once."""

    path: bytes
    text: str

    @cached_property
    def suffix(self) -> str:
        """The suffix of its name in lower case, without the dot."""
        name = os.fsdecode(self.path.rpartition(b"/")[2]).lower()
        return name.rpartition(".")[2] if "." in name else ""

    @cached_property
    def sample(self) -> str:
        """All of it, or blocks spread over it."""
        text, size = self.text, len(self.text)
        if size <= _BLOCKS * _BLOCK_CHARS:
            return text
        step = (size - _BLOCK_CHARS) // (_BLOCKS - 1)
        return "\n".join(text[n * step : n * step + _BLOCK_CHARS] for n in range(_BLOCKS))

    @cached_property
    def data(self) -> bytes:
        """The sample in UTF-8."""
        return self.sample.encode("utf-8", "replace")

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the sample."""
        return self.sample.split("\n")


def noise_reason(path: bytes, text: str) -> str | None:
    """Return why a text is skipped as noise or as a secret, None if it is not.

    Args:
        path: path of its file, whose suffix tells code from prose.
        text: the decoded text.
    """
    if (secret := find_secret(text)) is not None:
        return f"secret ({secret})"
    found = _Text(path, text)
    if document_kind(path) == "code" and _says_generated(text):
        return "generated (its header says so)"
    if _is_drawing(found):
        return "data (a drawing with hardly any text)"
    if len(text) < _MIN_CHARS:
        return None
    return next((reason for rule, reason in _RULES if rule(found)), None)


def _says_generated(text: str) -> bool:
    """Tell whether a comment at the top says that a tool generates the file."""
    lines = text[:_HEADER_CHARS].split("\n")[:_HEADER_LINES]
    header = "\n".join(line for line in lines if _COMMENT.match(line))
    if _TEMPLATE.search(header):
        return False
    says_so = _DO_NOT_EDIT.search(header) and _GENERATED.search(header)
    return bool(says_so or _AT_GENERATED.search(header))


def _is_drawing(found: _Text) -> bool:
    """Tell whether it is an SVG image whose text, if any, is a small part of it."""
    if found.suffix != "svg" and not _SVG.match(found.text[:_HEADER_CHARS]):
        return False
    sample = found.sample
    words = _TAG.sub(" ", _STYLE.sub(" ", sample)).split()
    return sum(map(len, words)) < _MIN_SVG_TEXT * len(sample)


def _is_empty_page(found: _Text) -> bool:
    """Tell whether it is a large page of scripts, styles and pictures."""
    if found.suffix not in _MARKUP - {"xml"} or len(found.text) < _MIN_PAGE_CHARS:
        return False
    if _packed_share(found, *_PACKED_LINE) < _MAX_PACKED:
        return False
    page = found.text[:_MAX_PAGE_CHARS]
    words = _TAG.sub(" ", _STYLE.sub(" ", page)).split()
    return sum(map(len, words)) < _MIN_PAGE_TEXT * len(page)


def _is_encoded(found: _Text) -> bool:
    """Tell whether most of it is base64 or hexadecimal."""
    data = found.data
    if not has_long_run(data, _MIN_PLAIN_RUN):
        return False
    place = encoded = 0
    for run in data.translate(_RUN).split(b" "):
        if len(run) >= _MIN_RUN and _is_random(data[place : place + len(run)]):
            encoded += len(run)
        place += len(run) + 1
    return encoded > _MAX_ENCODED * len(data)


def _is_random(run: bytes) -> bool:
    """Tell whether a run is hexadecimal or base64, not a ruler, a path or a name."""
    head = run[:200]
    if not any(48 <= byte <= 57 for byte in head) or len(set(head)) <= _MIN_DISTINCT:
        return False
    return len(run) >= _MIN_BASE64 or _HEX.fullmatch(run) is not None


def _has_few_words(found: _Text) -> bool:
    """Tell whether it consists of numbers and punctuation."""
    data = found.data.translate(None, _SPACES)
    if not data:
        return False
    letters = 1 - len(data.translate(None, _LETTERS)) / len(data)
    if found.suffix in _PROSE:  # may have diagrams, and tables of numbers with an explanation
        return letters < _MIN_LETTERS_IN_PROSE
    if letters < _MIN_LETTERS:
        return True
    if letters > _BORDERLINE_LETTERS:
        return False
    return sum(map(len, _WORDS.findall(found.data))) < _MIN_WORDS * len(data)


def _is_packed(found: _Text) -> bool:
    """Tell whether most of it stands in long lines with hardly any spaces."""
    if found.suffix in _MARKUP:
        return False
    code = found.suffix in _PACKED_SUFFIXES
    return _packed_share(found, *((300, 0.12) if code else _PACKED_LINE)) > _MAX_PACKED


def _packed_share(found: _Text, long: int, max_spaces: float) -> float:
    """Return how much of the sample stands in dense lines of more than `long` characters."""
    dense = (line for line in found.lines if len(line) > long and _is_dense(line, max_spaces))
    return sum(map(len, dense)) / max(1, len(found.sample))


def _is_dense(line: str, max_spaces: float) -> bool:
    """Tell whether a line has fewer spaces than prose, in a script that has spaces."""
    if line.count(" ") > max_spaces * len(line):
        return False
    return line.isascii() or sum(c > "\x7f" for c in line[:2_000]) < 0.1 * min(len(line), 2_000)


def _is_sql_dump(found: _Text) -> bool:
    """Tell whether most of it is rows of tables as SQL."""
    if found.suffix not in _SQL_SUFFIXES or not _SQL_FILLS.search(found.text):
        return False
    rows = sum(len(line) for line in found.lines if _SQL_ROW.match(line) or _is_copy_row(line))
    return rows > _MAX_SQL_ROWS * len(found.sample)


def _is_copy_row(line: str) -> bool:
    """Tell whether a line is a row of PostgreSQL's COPY: values between tabs."""
    return "\t" in line and not line[:1].isspace()


def _is_records(found: _Text) -> bool:
    """Tell whether most of it is records of the same shape, without prose in them."""
    begins = found.text[:64].lstrip()[:1]
    if len(found.text) < _MIN_RECORDS_CHARS:
        return False
    if found.suffix not in _DATA_SUFFIXES and not (begins in "[{" and found.suffix == ""):
        return False
    lines = found.sample.replace("},", "},\n").split("\n")
    shapes = [_shape(line) for line in lines]
    counts = Counter(shapes)
    repeated = sum(
        len(line)
        for line, shape in zip(lines, shapes, strict=True)
        if counts[shape] >= _MIN_REPEATS
    )
    return repeated > _MAX_REPEATED * len(found.sample)


def _shape(line: str) -> str:
    """Return a line without its short values: two records of one kind have the same shape."""
    if len(line) > 20_000:
        return line
    line = _PLAIN_VALUE.sub(r"\1", line)
    return _TAG_TEXT.sub("><", _VALUE.sub(r"\1", line)).strip()


def _is_table(found: _Text) -> bool:
    """Tell whether it is a long table whose cells hold no sentences."""
    if found.suffix not in _TABLE_SUFFIXES or found.text.count("\n") < _MIN_ROWS:
        return False
    cells = [cell for line in found.lines for cell in re.split(r"[,;\t|]", line)]
    prose = sum(len(cell) for cell in cells if cell.count(" ") >= _PROSE_WORDS - 1)
    return prose < 0.25 * len(found.sample)


_RULES: tuple[tuple[Callable[[_Text], bool], str], ...] = (
    (_is_encoded, "data (base64 or hexadecimal)"),
    (_is_sql_dump, "data (rows of a database dump)"),
    (_has_few_words, "data (numbers, hardly any words)"),
    (_is_packed, "generated (minified or bundled: long lines without spaces)"),
    (_is_empty_page, "data (a page with hardly any text)"),
    (_is_records, "data (many records of the same shape)"),
    (_is_table, "data (a long table without sentences)"),
)
