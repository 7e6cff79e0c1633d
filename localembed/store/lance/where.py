"""Check the SQL condition that a user gives, before Lance sees it.

Only columns that mean something to a user, plain operators and functions whose result is not longer
than their arguments are allowed: `repeat('a', 2000000000) = path` would take all memory, for long.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from localembed.core.text import is_unicode
from localembed.errors import UsageError

COLUMNS = (
    "path", "heading", "text", "tokens", "ord", "n_chunks", "start", "end", "start_line",
    "end_line", "mtime_ns", "run", "root_id", "record_id",
)  # fmt: skip
"""Columns that a condition may use."""
FUNCTIONS = (
    "abs", "btrim", "cast", "ceil", "char_length", "coalesce", "contains", "ends_with", "floor",
    "left", "length", "lower", "ltrim", "nullif", "octet_length", "position", "regexp_like",
    "right", "round", "rtrim", "split_part", "starts_with", "strpos", "substr", "substring",
    "trim", "upper",
)  # fmt: skip
"""Functions that a condition may use."""
_KEYWORDS = (
    "and", "or", "not", "in", "is", "null", "like", "ilike", "between", "true", "false", "case",
    "when", "then", "else", "end", "escape", "as", "from", "for", "int", "integer", "bigint",
    "smallint", "float", "real", "double", "precision", "string", "varchar", "boolean",
)  # fmt: skip
_MAX_CHARS, _MAX_DEPTH, _MAX_OPERATORS, _MAX_PATTERN = 200_000, 50, 1_000, 1_000
_LOOK_AHEAD = 20
_OPERATORS = frozenset(["and", "or", "not", "case", "+", "-", "*", "/", "%", "||"])
_TOKEN = re.compile(
    r"""\s+ | '(?:[^']|'')*' | "(?:[^"]|"")*" | \d+(?:\.\d*)?(?:[eE][+-]?\d+)? | \.\d+
    | [A-Za-z_]\w* | <> | != | <= | >= | \|\| | [=<>+*/%(),-]""",
    re.VERBOSE,
)
_PARSER = re.compile(r"sql parser error: (.*?)(?: at Line: \d+, Column: \d+)?\)*$")
_STATEMENT = re.compile(
    r"(?:Error [a-z ]+: )?SELECT 1 FROM t WHERE .*|Error resolving filter .*?: "
)


def check_where(where: str) -> None:
    """Check a condition.

    Raises:
        UsageError: it is not one, or uses what it may not.
    """
    if not where.strip():
        raise _refused("it is empty")
    if "\0" in where or not is_unicode(where):
        raise _refused("it is not valid text")
    if len(where) > _MAX_CHARS:
        raise _refused(f"it has more than {_MAX_CHARS:,} characters")
    depth = operators = 0
    has_pattern = False
    for token, rest in _tokens(where):
        depth += {"(": 1, ")": -1}.get(token, 0)
        if not 0 <= depth <= _MAX_DEPTH:
            raise _refused("its parentheses do not match, or are nested too deeply")
        operators += token.lower() in _OPERATORS
        has_pattern = has_pattern or token.lower() == "regexp_like"
        if token[0].isalpha() or token[0] in '_"':
            _check_word(token, is_call=rest.lstrip().startswith("("))
    if depth:
        raise _refused("its parentheses do not match, or are nested too deeply")
    if operators > _MAX_OPERATORS:
        raise _refused(f"it has more than {_MAX_OPERATORS:,} operators")
    if has_pattern and len(where) > _MAX_PATTERN:
        raise _refused(f"with regexp_like, it has at most {_MAX_PATTERN:,} characters")


def _tokens(where: str) -> Iterator[tuple[str, str]]:
    """Yield each token of a condition, and some of the text after it."""
    at = 0
    while at < len(where):
        match = _TOKEN.match(where, at)
        if match is None or where.startswith("--", at):
            raise _refused(f"it cannot contain {where[at]!r}")
        at = match.end()
        if not match[0].isspace():
            yield match[0], where[at : at + _LOOK_AHEAD]


def explain(error: str) -> str:
    """Return what Lance says about a condition, without the statement that it made of it."""
    if found := _PARSER.search(error):
        return found[1]
    text = _STATEMENT.sub("", error.removeprefix("Invalid input, "))
    text = re.sub(r"Error during planning: |Invalid user input: |lance error: .*Error: ", "", text)
    return text.strip().rstrip(".") or "it is not a condition"


def _check_word(word: str, *, is_call: bool) -> None:
    lower = word.strip('"').lower()
    if (lower in _KEYWORDS and word[0] != '"') or (lower in COLUMNS and not is_call):
        return
    if not is_call:
        raise _unknown(word.strip('"'))
    if lower not in FUNCTIONS:
        raise _refused(f"it cannot use {lower}(). Functions: {', '.join(FUNCTIONS)}")


def _unknown(name: str) -> UsageError:
    near = difflib.get_close_matches(name.lower(), COLUMNS, 1)
    hint = f" Did you mean {near[0]}?" if near else ""
    return _refused(f"there is no column {name!r}.{hint} Columns: {', '.join(COLUMNS)}")


def _refused(why: str) -> UsageError:
    return UsageError(f"The filter is not understood: {why.rstrip('.')}.")
