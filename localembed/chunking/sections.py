"""A document's tokens in sections that can be cut without looking at each other.

An anchor depends on the tokens within a window around it, and everything behind it on nothing in
front of it. So the tokens between two anchors are a section: memory is bounded by a section, not by
the document, and the cuts are those of the whole document.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from localembed.chunking.boundaries import (
    Limits,
    boundary_keys,
    find_anchors,
    inner_boundaries,
    overlap_start,
    rank_boundaries,
    rank_headings,
    weigh,
)
from localembed.chunking.structure import Heading
from localembed.chunking.tokens import DocumentTokens, token_parts, tokens_together
from localembed.types.models import Tokenizer

if TYPE_CHECKING:
    import numpy.typing as npt

_CONTEXT = 8
"""Tokens kept in front of a section beside the overlap: keys look four tokens back."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens [begin, end) of a section; `core` is where the part begins that repeats nothing."""

    begin: int
    core: int
    end: int


@dataclass(frozen=True, slots=True)
class Section:
    """Tokens with the keys of their cuts; those in front of the first bound are context."""

    tokens: DocumentTokens
    keys: npt.NDArray[np.uint64]
    weights: npt.NDArray[np.int64]
    bounds: tuple[int, ...]
    """The first cut, the anchors in between, the last cut."""
    limits: Limits
    floor: int
    """Where the piece in front of the first bound begins; -1 if that is not held any more."""

    def pieces(self) -> list[Piece]:
        """Return the pieces in order, none over the limit, with what each repeats."""
        boundaries = set(self.bounds)
        for begin, end in pairwise(self.bounds):
            boundaries.update(inner_boundaries(self.keys, self.weights, begin, end, self.limits))
        ordered = sorted(boundaries)
        before = [self.floor, *ordered]  # an overlap stays behind the beginning of its predecessor
        return [
            Piece(
                overlap_start(self.keys, self.weights, (floor, begin, end), self.limits), begin, end
            )
            for floor, (begin, end) in zip(before, pairwise(ordered), strict=False)
        ]

    def last_begin(self) -> int:
        """Return where the last piece begins that repeats nothing."""
        begin, end = self.bounds[-2:]
        return max((begin, *inner_boundaries(self.keys, self.weights, begin, end, self.limits)))

    def halves(self, piece: Piece) -> list[Piece]:
        """Return a piece cut once more, at its best place."""
        weight = int(self.weights[piece.end] - self.weights[piece.core])
        limits = Limits.of(max(1, weight - 1), 0)
        inner = inner_boundaries(self.keys, self.weights, piece.core, piece.end, limits)
        bounds = [piece.core, *sorted(inner), piece.end]
        return [Piece(begin, begin, end) for begin, end in pairwise(bounds)]


def sections(
    text: str, tokenizer: Tokenizer, headings: Sequence[Heading], limits: Limits
) -> Iterator[Section]:
    """Yield the sections of a document in order."""
    parts = token_parts(text, tokenizer)
    held = next(parts, None)
    wall = floor = 0
    for part in parts:
        # What stands behind the last anchor waits for what comes.
        section = _section(held, (floor, wall), headings, limits) if held else None
        if section is not None and len(section.bounds) > 2:
            last = section.bounds[-2]
            done = replace(section, bounds=section.bounds[:-1])
            yield done
            kept = max(0, last - limits.overlap - _CONTEXT)
            wall, floor = last - kept, max(-1, done.last_begin() - kept)
            held = section.tokens.sliced(kept)
        held = held.joined(part) if held else part
    if held:
        yield _section(held, (floor, wall), headings, limits)


def _section(
    tokens: DocumentTokens, begin: tuple[int, int], headings: Sequence[Heading], limits: Limits
) -> Section:
    """Return tokens as one section that begins at its wall and ends with them."""
    floor, wall = begin
    first = bisect.bisect_left(headings, int(tokens.starts[0]), key=lambda h: h.start)
    behind = bisect.bisect_right(headings, int(tokens.starts[-1]), key=lambda h: h.start)
    ranks = rank_boundaries(tokens)
    rank_headings(ranks, tokens.starts, headings[first:behind])
    only = np.array((0, len(tokens)))
    keys = boundary_keys(tokens.ids, ranks, only)
    anchors = [wall + place for place in find_anchors(keys[wall:], limits.window)]
    bounds = (wall, *anchors, len(tokens))
    return Section(tokens, keys, weigh(tokens, only), bounds, limits, floor)


def sections_together(
    texts: Sequence[str],
    tokenizer: Tokenizer,
    headings: Sequence[Sequence[Heading]],
    limits: Limits,
) -> Iterator[tuple[Section, ...]]:
    """Yield for each of several short texts its only section, or none if it has no tokens."""
    found = tokens_together(texts, tokenizer)
    each = found.each()
    ranks = rank_boundaries(found.tokens)
    for (own, tokens), those in zip(each, headings, strict=True):
        rank_headings(ranks[own], tokens.starts, those)
    keys = boundary_keys(found.tokens.ids, ranks, found.first)
    weights = weigh(found.tokens, found.first)
    for own, tokens in each:
        if len(tokens):
            bounds = (0, *find_anchors(keys[own], limits.window), len(tokens))
            weight = weights[own.start : own.stop + 1]
            yield (Section(tokens, keys[own], weight, bounds, limits, floor=0),)
        else:
            yield ()
