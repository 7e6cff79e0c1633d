"""Conditions in SQL that Lance applies before it searches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from localembed.queries import Filter
from localembed.report import show_path

_META = frozenset(r".^$+{}[]()|\\")


def condition(wanted: Filter, roots: Mapping[str, bytes]) -> str | None:
    """Return the condition in SQL, None where everything may be looked at.

    Args:
        wanted: what was asked for.
        roots: root_id → absolute path: globs are held against whole paths.
    """
    parts: list[str] = []
    if wanted.paths:
        parts.append(" OR ".join(_below(*root, wanted.paths) for root in roots.items()) or "false")
    if wanted.since_ns is not None:
        parts.append(f"mtime_ns >= {wanted.since_ns}")
    if wanted.where is not None:
        parts.append(wanted.where)
    return " AND ".join(f"({part})" for part in parts) or None


def _below(root_id: str, root: bytes, globs: Sequence[str]) -> str:
    """Return the condition for the documents of a root whose whole path matches one of the globs.

    Of a root that is a file, the path below it is empty.
    """
    shown = _quoted(show_path(root))
    whole = f"CASE WHEN path_bytes = X'' THEN '{shown}' ELSE concat('{shown}/', path) END"
    matches = (f"regexp_like({whole}, '{_quoted(glob_regex(glob))}')" for glob in globs)
    return f"(root_id = '{_quoted(root_id)}' AND ({' OR '.join(matches)}))"


def of_document(root_id: str, path: bytes, line: int | None = None) -> str:
    """Return the condition for a document's chunks, or for those that hold one of its lines."""
    parts = [f"root_id = '{_quoted(root_id)}'", f"path_bytes = X'{path.hex()}'"]
    if line is not None:
        parts.append(f"start_line <= {line} AND end_line >= {line}")
    return " AND ".join(parts)


def of_chunk(chunk_id: bytes) -> str:
    """Return the condition for one chunk."""
    return f"chunk_id = X'{chunk_id.hex()}'"


def glob_regex(glob: str) -> str:
    """Return a glob as a regular expression over an absolute path.

    `*` and `?` stop at a slash, `**` does not; a pattern matches whole names from any folder on,
    one that begins with a slash from the first on, and one that ends in a slash everything below.
    """
    anchored = glob.startswith("/")
    pattern = glob.strip("/") + ("/**" if glob.endswith("/") else "")
    regex = ""
    at = 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            regex, at = regex + "(?:.*/)?", at + 3
        elif pattern.startswith("**", at):
            regex, at = regex + ".*", at + 2
        else:
            character = pattern[at]
            regex += {"*": "[^/]*", "?": "[^/]"}.get(character, _literal(character))
            at += 1
    return f"{'^/' if anchored else '(?:^|/)'}{regex}$"


def _literal(character: str) -> str:
    return f"\\{character}" if character in _META else character


def _quoted(text: str) -> str:
    return text.replace("'", "''")
