"""Lines of ignore files as regular expressions that no line and no name makes slow.

pathspec translates a line so that `*a*a*a*b` or `**/x/**/x/**/y` tries every way to share a name
among the wildcards, which takes for ever if the name does not match. Each wildcard but the last can
take as little as possible and never give it back: what follows then has the most left to match.
Atomic groups say just that; no wildcard multiplies the time that the others take.
"""

from __future__ import annotations

import re
from typing import Literal

from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

_ANY_FOLDERS_FIRST, _ANY_FOLDERS = "^(?:.+/)?", "(?:/.+)?"
"""What pathspec writes for `**` at the start of a line and inside it."""
_TOKEN = re.compile(r"\\.|\[[!^]?\]?[^\]]*\]|.", re.DOTALL)


class LinearPattern(GitIgnoreSpecPattern):
    """One line of an ignore file."""

    __slots__ = ()

    @classmethod
    def pattern_to_regex(cls, pattern: str) -> tuple[str | None, bool | None]:  # type: ignore[override]
        """Return the expression of a line, and whether it ignores; see `GitIgnoreSpecPattern`."""
        regex, ignores = super().pattern_to_regex(pattern)
        return (None if regex is None else _with_atomic_folders(regex)), ignores

    @staticmethod
    def _translate_segment_glob(pattern: str, range_error: Literal["literal", "raise"]) -> str:
        """Return the expression of one part of a line, between its slashes."""
        pieces = [""]
        for token in _TOKEN.findall(pattern):
            if token != "*":
                one = GitIgnoreSpecPattern._translate_segment_glob(token, range_error)
                pieces[-1] += f"(?!/){one}" if token[0] == "[" else one
            elif pieces[-1] or len(pieces) == 1:
                pieces.append("")
        first, *between = pieces
        if not between:
            return first
        return first + "".join(f"(?>[^/]*?{p})" for p in between[:-1]) + f"[^/]*{between[-1]}"


def _with_atomic_folders(regex: str) -> str:
    """Make every `**` but the last take as few folders as possible, and keep them."""
    starts_with_any = regex.startswith(_ANY_FOLDERS_FIRST)
    first, *between = regex.removeprefix(_ANY_FOLDERS_FIRST).split(_ANY_FOLDERS)
    if not between:
        return regex
    if starts_with_any:
        first = f"^(?>(?:[^/]+/)*?{first}(?=/))"
    return (
        first
        + "".join(f"(?>(?:/[^/]+)*?{part}(?=/))" for part in between[:-1])
        + _ANY_FOLDERS
        + between[-1]
    )
