"""The rules of one ignore file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from localembed.sources.ignore_lines import Line, lower


class RulePath(NamedTuple):
    """A path relative to a root in the form that rules match: a folder ends in a slash."""

    path: str
    name: str
    """Its last part."""


def rule_path(path: bytes, *, is_folder: bool = False) -> RulePath:
    """Return a path relative to a root in the form that rules match."""
    text = path.decode("utf-8", "surrogateescape")
    end = "/" if is_folder else ""
    return RulePath(text + end, text.rpartition("/")[2] + end)


class Rank(IntEnum):
    """Kinds of rules, those that decide first come first."""

    OPTION = 0
    FOLDER = 1
    REPOSITORY = 2


@dataclass(frozen=True, slots=True)
class _Union:
    """Several lines as one expression, in which each is a group: the last line comes first."""

    expression: re.Pattern[str] | None
    numbers: tuple[int, ...]
    """Line of each group."""

    @classmethod
    def of(cls, lines: list[tuple[int, Line]]) -> _Union:
        if not lines:
            return cls(None, ())
        text = "|".join(f"({line.expression})" for _, line in reversed(lines))
        return cls(re.compile(text), tuple(number for number, _ in reversed(lines)))

    def last(self, text: str) -> int:
        """Return the last line that matches, -1 if none does."""
        found = self.expression.match(text) if self.expression is not None else None
        return self.numbers[found.lastindex - 1] if found and found.lastindex else -1


@dataclass(frozen=True, slots=True)
class IgnoreFile:
    """The lines of one ignore file, for the folder that contains it."""

    name: str
    lines: tuple[Line, ...]
    rank: Rank
    of_git: bool
    """Whether it ends where another repository begins."""
    prefix: str
    """Path of the folder relative to the top, ending in a slash; empty for the top itself."""
    ignore_case: bool
    literals: dict[str, int]
    """Last line of each name without wildcards."""
    names: _Union
    """Lines with wildcards that match names."""
    paths: _Union
    """Lines that match paths from the folder on."""

    @classmethod
    def of(
        cls,
        name: str,
        lines: Iterable[Line],
        *,
        rank: Rank,
        of_git: bool = False,
        prefix: str = "",
        ignore_case: bool = False,
    ) -> IgnoreFile:
        """Return the rules that lines make up."""
        lines = tuple(lines)
        numbered = list(enumerate(lines))
        literals = {text: number for number, line in numbered for text in line.literals}
        names = [(n, line) for n, line in numbered if line.is_name and not line.literals]
        paths = [(n, line) for n, line in numbered if not line.is_name]
        unions = (_Union.of(names), _Union.of(paths))
        return cls(name, lines, rank, of_git, prefix, ignore_case, literals, *unions)

    def verdict(self, entry: RulePath) -> bool | None:
        """Return True if ignored, False if re-included, None if no line matches."""
        path, name = entry
        if self.ignore_case:
            path, name = lower(path), lower(name)
        number = max(self.literals.get(name, -1), self.names.last(name))
        if self.paths.numbers:
            number = max(number, self.paths.last(path[len(self.prefix) :]))
        return self.lines[number].ignores if number >= 0 else None

    def without_lines_for(self, entry: RulePath) -> IgnoreFile:
        """Return the rules without the lines that ignore one entry."""
        path, name = entry
        if self.ignore_case:
            path, name = lower(path), lower(name)
        inner = path[len(self.prefix) :]
        lines = [line for line in self.lines if not (line.ignores and line.matches(inner, name))]
        return IgnoreFile.of(
            self.name, lines, rank=self.rank, of_git=self.of_git, prefix=self.prefix,
            ignore_case=self.ignore_case,
        )  # fmt: skip
