"""A document's tokens in sections that can be chunked independently of each other.

An anchor depends only on the tokens within a window around it, and nothing after an anchor depends
on what is before it. So the tokens between two anchors are a section: memory is bounded by a
section, not by the document, and the boundaries are those of the whole document.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from localembed.chunking.boundaries import (
    ChunkSizes,
    boundary_keys,
    find_anchors,
    inner_boundaries,
    overlap_start,
    rank_boundaries,
    rank_headings,
    weigh,
)
from localembed.chunking.headings import Heading, Structure
from localembed.chunking.prose import rank_lines
from localembed.chunking.tokens import (
    BLOCK_SIZES,
    BlockSizes,
    DocumentTokens,
    token_parts,
    tokens_together,
)
from localembed.types.models import Tokenizer

if TYPE_CHECKING:
    import numpy.typing as npt

_CONTEXT_TOKENS = 8
"""Tokens kept before a section in addition to the overlap: keys depend on four earlier tokens."""


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """Tokens [begin, end) of a chunk within its section; `core` is the first after the overlap."""

    begin: int
    core: int
    end: int


@dataclass(frozen=True, slots=True)
class Section:
    """Tokens with the keys of their boundaries; those before the first bound are context."""

    tokens: DocumentTokens
    keys: npt.NDArray[np.uint64]
    weights: npt.NDArray[np.int64]
    bounds: tuple[int, ...]
    """The first boundary, the anchors, the last boundary."""
    limits: ChunkSizes
    floor: int
    """Start of the last chunk before the first bound; -1 if it is no longer held."""

    def token_spans(self) -> list[TokenSpan]:
        """Return the tokens of each chunk in order, none over the limit, with overlaps."""
        boundaries = set(self.bounds)
        for begin, end in pairwise(self.bounds):
            boundaries.update(inner_boundaries(self.keys, self.weights, begin, end, self.limits))
        ordered = sorted(boundaries)
        before = [self.floor, *ordered]  # an overlap begins after its predecessor does
        return [
            TokenSpan(
                overlap_start(self.keys, self.weights, (floor, begin, end), self.limits), begin, end
            )
            for floor, (begin, end) in zip(before, pairwise(ordered), strict=False)
        ]

    def last_begin(self) -> int:
        """Return where the last chunk begins, without its overlap."""
        begin, end = self.bounds[-2:]
        return max((begin, *inner_boundaries(self.keys, self.weights, begin, end, self.limits)))

    def halves(self, span: TokenSpan) -> list[TokenSpan]:
        """Return a span divided once more, at its best boundary."""
        weight = int(self.weights[span.end] - self.weights[span.core])
        limits = ChunkSizes.of(max(1, weight - 1), 0)
        inner = inner_boundaries(self.keys, self.weights, span.core, span.end, limits)
        bounds = [span.core, *sorted(inner), span.end]
        return [TokenSpan(begin, begin, end) for begin, end in pairwise(bounds)]


def sections(
    document: Structure,
    tokenizer: Tokenizer,
    limits: ChunkSizes,
    blocks: BlockSizes = BLOCK_SIZES,
) -> Iterator[Section]:
    """Yield the sections of a document in order."""
    parts = token_parts(document.text, tokenizer, blocks)
    held = next(parts, None)
    start = floor = 0
    for part in parts:
        # Tokens after the last anchor wait for the next part.
        section = _section(held, (floor, start), document, limits) if held else None
        if section is not None and len(section.bounds) > 2:
            last = section.bounds[-2]
            done = replace(section, bounds=section.bounds[:-1])
            yield done
            kept = max(0, last - limits.overlap - _CONTEXT_TOKENS)
            start, floor = last - kept, max(-1, done.last_begin() - kept)
            held = section.tokens.sliced(kept)
        held = held.joined(part) if held else part
    if held:
        yield _section(held, (floor, start), document, limits)


def _section(
    tokens: DocumentTokens, begin: tuple[int, int], document: Structure, limits: ChunkSizes
) -> Section:
    """Return tokens as one section.

    Args:
        tokens: with the context before the section.
        begin: `Section.floor`, and the section's first token.
        document: the document.
        limits: the sizes.
    """
    floor, start = begin
    headings = document.headings
    # A heading may begin before its first token. Only the first section has no context before it.
    first = bisect.bisect_right(headings, int(tokens.starts[0]), key=_end) if start else 0
    last = bisect.bisect_right(headings, int(tokens.starts[-1]), key=lambda h: h.start)
    ranks = rank_boundaries(tokens)
    if document.is_prose:
        rank_lines(ranks, tokens, document.text)
    rank_headings(ranks, tokens.starts, headings[first:last])
    only = np.array((0, len(tokens)))
    keys = boundary_keys(tokens.ids, ranks, only)
    anchors = [start + place for place in find_anchors(keys[start:], limits.window)]
    bounds = (start, *anchors, len(tokens))
    return Section(tokens, keys, weigh(tokens, only), bounds, limits, floor)


def _end(heading: Heading) -> int:
    return heading.end


def sections_together(
    documents: Sequence[Structure],
    tokenizer: Tokenizer,
    limits: ChunkSizes,
    blocks: BlockSizes = BLOCK_SIZES,
) -> Iterator[tuple[Section, ...]]:
    """Yield the single section of each short text, or none if it has no tokens."""
    found = tokens_together([document.text for document in documents], tokenizer, blocks)
    each = found.each()
    ranks = rank_boundaries(found.tokens)
    for (place, tokens), document in zip(each, documents, strict=True):
        if document.is_prose:
            rank_lines(ranks[place], tokens, document.text)
        rank_headings(ranks[place], tokens.starts, document.headings)
    keys = boundary_keys(found.tokens.ids, ranks, found.first)
    weights = weigh(found.tokens, found.first)
    for place, tokens in each:
        if len(tokens):
            bounds = (0, *find_anchors(keys[place], limits.window), len(tokens))
            weight = weights[place.start : place.stop + 1]
            yield (Section(tokens, keys[place], weight, bounds, limits, floor=0),)
        else:
            yield ()
