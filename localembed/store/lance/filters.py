"""SQL conditions that Lance applies before it searches."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

from localembed.core.text import show_path
from localembed.errors import UsageError
from localembed.store.lance.where import check_where
from localembed.types.queries import Filter

_NO_LANGUAGES = frozenset({"text", "binary"})
_LETTERS = re.compile(r"\[(?P<not>[!^]?)(?P<inner>\]?[^]/]*)\]")
"""A bracket expression of a glob."""
_RANGES = re.compile(r"(.)(?:-(.))?", re.DOTALL)
_CLASS_META = frozenset(r"\]^[-&~")
_META = frozenset(r".^$+{}[]()|\\")


def condition(filter: Filter, roots: Mapping[str, bytes]) -> str | None:
    """Return a filter as an SQL condition, None if it allows everything.

    Args:
        filter: restricts the rows that are searched.
        roots: root_id → absolute path; globs match absolute paths.

    Raises:
        UsageError: the filter cannot work.
    """
    parts: list[str] = []
    for patterns in (
        [glob_regex(glob) for glob in filter.paths],
        [language_regex(name) for name in filter.languages],
    ):
        if patterns:
            matches = (_matching(*root, patterns) for root in roots.items())
            parts.append(" OR ".join(matches) or "false")
    if filter.since_ns is not None:
        parts.append(f"mtime_ns >= {filter.since_ns}")
    if filter.where is not None:
        check_where(filter.where)
        parts.append(filter.where)
    return " AND ".join(f"({part})" for part in parts) or None


def _matching(root_id: str, root: bytes, patterns: Sequence[str]) -> str:
    """Return the condition for the documents of a root whose absolute path matches a pattern.

    If the root is a file, the path below it is empty.
    """
    top = _quoted(show_path(root))
    absolute = f"CASE WHEN path_bytes = X'' THEN '{top}' ELSE concat('{top}/', path) END"
    matches = (f"regexp_like({absolute}, '{_quoted(pattern)}')" for pattern in patterns)
    return f"(root_id = '{_quoted(root_id)}' AND ({' OR '.join(matches)}))"


def of_document(root_id: str, path: bytes, line: int | None = None) -> str:
    """Return the condition for a document's chunks, or for those that contain one line."""
    parts = [f"root_id = '{_quoted(root_id)}'", f"path_bytes = X'{path.hex()}'"]
    if line is not None:
        parts.append(f"start_line <= {line} AND end_line >= {line}")
    return " AND ".join(parts)


def at_or_below(root_id: str, path: bytes) -> str:
    """Return the condition for the chunks of a document, or of all documents below a folder."""
    if not path:
        return of_roots([root_id])
    folder = _quoted(f"{show_path(path)}/")
    place = f"path_bytes = X'{path.hex()}' OR starts_with(path, '{folder}')"
    return f"root_id = '{_quoted(root_id)}' AND ({place})"


def of_roots(root_ids: Iterable[str]) -> str:
    """Return the condition for the chunks of some roots."""
    ids = ", ".join(f"'{_quoted(root_id)}'" for root_id in root_ids)
    return f"root_id IN ({ids})" if ids else "false"


def of_chunk(chunk_id: bytes) -> str:
    """Return the condition for one chunk."""
    return f"chunk_id = X'{chunk_id.hex()}'"


def language_regex(name: str) -> str:
    """Return a regular expression for the paths of a language, by `identify`'s suffixes and names.

    Args:
        name: the language, or one of its suffixes.

    Raises:
        UsageError: there is no such language.
    """
    from identify.extensions import EXTENSIONS, NAMES

    language_tags = ({name.lower()} | EXTENSIONS.get(name.lower(), set())) - _NO_LANGUAGES
    endings = [
        f"\\.{_literals(suffix)}" for suffix, tags in EXTENSIONS.items() if language_tags & tags
    ]
    endings += [f"(?:^|/){_literals(file)}" for file, tags in NAMES.items() if language_tags & tags]
    if not endings:
        nearest = difflib.get_close_matches(name.lower(), languages(), 3)
        hint = f" Did you mean: {', '.join(nearest)}?" if nearest else ""
        message = f"No language has the name {name!r}.{hint} To filter by suffix: --path '*.{name}'"
        raise UsageError(message)
    return f"(?i)(?:{'|'.join(endings)})$"


def languages() -> list[str]:
    """Return the language names that a filter accepts, without suffixes."""
    from identify.extensions import EXTENSIONS, NAMES

    return sorted(set().union(*EXTENSIONS.values(), *NAMES.values()) - _NO_LANGUAGES)


def glob_regex(glob: str) -> str:
    """Return a glob as a regular expression over an absolute path.

    `*` and `?` stop at a slash, `**` does not; `[ab]` stands for a letter, and for itself. A
    pattern matches whole names, starting at any folder; with a leading slash it starts at the top,
    with a trailing slash it matches everything below. One that ends with a plain name matches
    everything below a folder of that name, too.
    """
    anchored = glob.startswith("/")
    pattern = glob.strip("/") + ("/**" if glob.endswith("/") else "")
    is_name = not set("*?[").intersection(pattern.rpartition("/")[2])
    below = "(?:/.*)?" if is_name else ""
    regex = ""
    at = 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            regex, at = regex + "(?:.*/)?", at + 3
        elif pattern.startswith("**", at):
            regex, at = regex + ".*", at + 2
        elif letters := _LETTERS.match(pattern, at):
            regex, at = regex + _letters_regex(letters), letters.end()
        else:
            character = pattern[at]
            regex += {"*": "[^/]*", "?": "[^/]"}.get(character, _literal(character))
            at += 1
    return f"{'^/' if anchored else '(?:^|/)'}{regex}{below}$"


def _letters_regex(letters: re.Match[str]) -> str:
    """Return a bracket expression as a regular expression: one of its letters, or its own text."""
    ranges = "".join(
        f"{_in_class(low)}-{_in_class(high or low)}"
        for low, high in _RANGES.findall(letters["inner"])
        if low <= (high or low)
    )
    one = f"[{'^/' if letters['not'] else ''}{ranges}]|" if ranges else ""
    return f"(?:{one}{_literals(letters[0])})"


def _in_class(character: str) -> str:
    return f"\\{character}" if character in _CLASS_META else character


def _literals(text: str) -> str:
    return "".join(map(_literal, text))


def _literal(character: str) -> str:
    return f"\\{character}" if character in _META else character


def _quoted(text: str) -> str:
    return text.replace("'", "''")
