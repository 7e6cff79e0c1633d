"""Headings of a document, and which of them a place lies under."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_MAX_TITLE_CHARS = 120


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading or a definition."""

    start: int
    """First character of the block, including an overline, decorators and comments."""
    end: int
    """End of the last line of the heading itself."""
    stop: int
    """End of what the heading stands above."""
    title: str
    is_boundary: bool = True
    """Whether a chunk should preferably begin here; false for a method inside a class."""


@dataclass(frozen=True, slots=True)
class Structure:
    """A document with what decides where it is chunked."""

    text: str
    headings: Sequence[Heading]
    is_prose: bool
    """Whether a line may end inside a sentence."""


def one_line(title: str) -> str:
    """Return a title without line ends and repeated blanks, and not too long."""
    return " ".join(title.split())[:_MAX_TITLE_CHARS]


def nested(found: Iterable[tuple[int, int, int, str]], length: int) -> list[Heading]:
    """Return headings that end where the next of the same or a smaller level begins.

    Args:
        found: start, end, level and title of each, in order; a smaller level is further out.
        length: characters of the document.
    """
    entries = list(found)
    stops = [length] * len(entries)
    open_entries: list[int] = []
    for index, (start, _, level, _) in enumerate(entries):
        while open_entries and entries[open_entries[-1]][2] >= level:
            stops[open_entries.pop()] = start
        open_entries.append(index)
    return [
        Heading(start, end, stop, title)
        for (start, end, _, title), stop in zip(entries, stops, strict=True)
    ]


def paths_at(headings: Sequence[Heading], places: Iterable[int]) -> Iterator[str]:
    """Yield for each of the rising places the titles of the headings above it, outermost first."""
    above: list[Heading] = []
    following = 0
    for place in places:
        while following < len(headings) and headings[following].start <= place:
            heading = headings[following]
            above = [entry for entry in above if entry.stop > heading.start]
            above.append(heading)
            following += 1
        yield " > ".join(entry.title for entry in above if entry.stop > place)
