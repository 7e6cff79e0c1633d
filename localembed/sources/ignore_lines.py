"""Lines of ignore files as regular expressions that match exactly what git matches.

No line and no path makes them slow. Each wildcard but the last takes as little as it can and never
gives it back (an atomic group): what follows then has the most left to match, so trying every way
to share a path among the wildcards would find nothing more.

The one difference to git: `?` and brackets match a character, where git matches a byte of UTF-8.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from localembed.sources.brackets import bracket

_SPECIAL = frozenset("*?[\\")
_FOLDER = "(?:[^/]+/)"
_FOLDERS, _SOME_FOLDERS = f"{_FOLDER}*", f"{_FOLDER}+"
"""What `**/` and `**\\/` match; only the second needs a folder."""
_LAST_JOINT = {"": "", _FOLDERS: "(?s:.*/)?", _SOME_FOLDERS: "(?s:.*/)"}
"""Faster forms of the same for the last ones of a line, which may give back what they took."""
_STAR, _SLASH = "[^/]*", "/"
_REST = "[^/]+(?:/[^/]+)*"
"""What `**` matches at the end of a line."""
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an ignore file.

    It matches texts in which the path of a folder, and of nothing else, ends in a slash.
    """

    expression: str
    """Regular expression for a whole text, whose end it matches."""
    literals: tuple[str, ...]
    """All texts that it matches if it has no wildcard and matches names, else empty."""
    is_name: bool
    """Whether it matches the last part of a path in any folder, not the path from its folder."""
    ignores: bool
    """False if it re-includes."""

    def matches(self, path: str, name: str) -> bool:
        """Tell whether it matches a path relative to the folder of its file, or its last part."""
        return re.match(self.expression, name if self.is_name else path) is not None


def lower(text: str) -> str:
    """Return a text with the letters in lower case that git folds: those of ASCII."""
    return text.translate(_LOWER)


def split_lines(text: str) -> list[str]:
    """Return the lines of an ignore file that can say something."""
    lines = text.removeprefix("\ufeff").split("\n")
    return [line.removesuffix("\r") for line in lines if line and line[0] != "#"]


def parse_lines(texts: Iterable[str], *, ignore_case: bool = False) -> list[Line]:
    """Return the lines that can match something: neither comments nor empty or invalid ones.

    Args:
        texts: the lines as they are written.
        ignore_case: whether texts to match come in lower case.
    """
    return [line for text in texts if (line := _line(text, ignore_case=ignore_case)) is not None]


def _line(text: str, *, ignore_case: bool) -> Line | None:
    """Return a line, None if it matches nothing."""
    text = _without_trailing_spaces(text.partition("\0")[0])
    if text.startswith("#"):
        return None
    pattern = text.removeprefix("!")
    folders_only = pattern.endswith("/")
    pattern = pattern.removesuffix("/")
    is_name = "/" not in pattern
    expression = _expression(pattern.removeprefix("/"), is_name=is_name, ignore_case=ignore_case)
    if expression is None:
        return None
    expression += r"/\Z" if folders_only else r"/?\Z"
    literals: tuple[str, ...] = ()
    if is_name and _SPECIAL.isdisjoint(pattern):
        name = lower(pattern) if ignore_case else pattern
        literals = (f"{name}/",) if folders_only else (name, f"{name}/")
    return Line(expression, literals, is_name, ignores=not text.startswith("!"))


def path_matches(pattern: str, path: str, *, ignore_case: bool = False) -> bool:
    """Tell whether a pattern matches a whole path."""
    if ignore_case:
        path = lower(path)
    expression = _expression(pattern, is_name=False, ignore_case=ignore_case)
    return expression is not None and re.fullmatch(expression, path) is not None


def _expression(pattern: str, *, is_name: bool, ignore_case: bool) -> str | None:
    """Return the expression of a pattern, None if it can match nothing."""
    atoms = _atoms(pattern, is_name=is_name, ignore_case=ignore_case)
    if not atoms or atoms[-1] in (_SLASH, _FOLDERS, _SOME_FOLDERS):
        return None  # no path ends in a slash for git
    *_, last = atoms
    parts: list[list[str]] = [[]]
    joints: list[str] = [""]
    for atom in atoms[:-1] if last == _REST else atoms:
        if atom in (_FOLDERS, _SOME_FOLDERS):
            joints.append(atom)
            parts.append([])
        else:
            parts[-1].append(atom)
    texts = [_fixed_depth(part) for part in parts]
    if last == _REST:
        texts, joints = [*texts, _REST], [*joints, ""]
    between = [f"(?>{joint}?{text})" if joint else text
               for joint, text in zip(joints[:-1], texts[:-1], strict=True)]  # fmt: skip
    return "".join(between) + _LAST_JOINT[joints[-1]] + texts[-1]


def _atoms(pattern: str, *, is_name: bool, ignore_case: bool) -> list[str] | None:
    """Return an expression for each element of a pattern, None if it is invalid."""
    atoms: list[str] = []
    at = 0
    while at < len(pattern):
        start, letter = at, pattern[at]
        at += 1
        if letter == "*":
            while pattern.startswith("*", at):
                at += 1
            atom = _STAR if is_name or at - start == 1 else _stars(pattern, start, at)
            at += {_FOLDERS: 1, _SOME_FOLDERS: 2}.get(atom, 0)
        elif letter == "?":
            atom = "[^/]"
        elif letter == "[":
            found = bracket(pattern, at, ignore_case=ignore_case)
            if found is None:
                return None
            atom, at = found
        elif letter == "\\":
            if at == len(pattern):
                return None
            atom, at = _escaped(pattern[at], ignore_case=ignore_case), at + 1
        else:
            atom = _SLASH if letter == "/" else re.escape(lower(letter) if ignore_case else letter)
        atoms.append(atom)
    return atoms


def _stars(pattern: str, start: int, end: int) -> str:
    """Return what several stars match: folders only where they are all of a part of the path."""
    if start and pattern[start - 1] != "/":
        return _STAR
    if end == len(pattern):
        return _REST
    if pattern[end] == "/":
        return _FOLDERS
    return _SOME_FOLDERS if pattern.startswith("\\/", end) else _STAR


def _escaped(letter: str, *, ignore_case: bool) -> str:
    """Return the expression of a letter behind a backslash, which git compares as it is."""
    if letter == "/":
        return _SLASH
    return "(?!)" if ignore_case and lower(letter) != letter else re.escape(letter)


def _fixed_depth(atoms: list[str]) -> str:
    """Return the expression of elements that match a known number of slashes."""
    text, pieces = "", [""]
    for atom in [*atoms, ""]:
        if atom == _STAR:
            pieces.append("")
        elif atom and atom != _SLASH:
            pieces[-1] += atom
        else:
            text += _part(pieces) + atom
            pieces = [""]
    return text


def _part(pieces: Iterable[str]) -> str:
    """Return the expression of pieces with stars between them, in one part of a path."""
    first, *between = pieces
    if not between:
        return first
    if not first and not any(between):
        return "[^/]+"  # a part of a path is never empty
    return first + "".join(f"(?>{_STAR}?{piece})" for piece in between[:-1]) + _STAR + between[-1]


def _without_trailing_spaces(text: str) -> str:
    """Return a line without the spaces at its end, except those behind a backslash."""
    kept = text.rstrip(" ")
    backslashes = len(kept) - len(kept.rstrip("\\"))
    return kept + " " if backslashes % 2 and len(kept) < len(text) else kept
