"""The chunker: a document in, its chunks with the token ids that the model will get out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from localembed import hashing
from localembed.chunk.cuts import (
    Limits,
    cut_keys,
    find_cuts,
    overlap_start,
    rank_cuts,
    split_piece,
    weigh,
)
from localembed.chunk.rules import ChunkRules
from localembed.chunk.spans import grapheme_ceiling, grapheme_floor
from localembed.chunk.structure import find_headings, heading_paths
from localembed.chunk.tokens import DocumentTokens, tokenize_document
from localembed.types import Chunk, ChunkedDocument, Cleaner, Document, Tokenizer

if TYPE_CHECKING:
    import numpy.typing as npt

    from localembed.types import IntArray


@dataclass(frozen=True, slots=True)
class _Piece:
    """Tokens [begin, end) of a document; `core` is where the part begins that repeats nothing."""

    begin: int
    core: int
    end: int


@dataclass(frozen=True, slots=True)
class Chunker:
    """Cuts documents on the offsets of one tokenizer."""

    tokenizer: Tokenizer
    clean: Cleaner
    rules: ChunkRules

    def __call__(self, document: Document) -> ChunkedDocument:
        """Return the document's chunks in order; none when it has no visible text."""
        text = document.text
        tokens = tokenize_document(text, self.tokenizer)
        if not len(tokens):
            return ChunkedDocument(document, (), tokens.overlong)
        headings = find_headings(text, document.kind)
        keys = cut_keys(tokens.ids, rank_cuts(tokens, headings))
        weights = weigh(tokens)
        limits = Limits.of(self.rules.max_tokens, self.rules.overlap_tokens)
        cuts = find_cuts(keys, weights, limits)
        pieces = [
            _Piece(overlap_start(keys, weights, begin, end, limits), begin, end)
            for begin, end in pairwise(cuts)
        ]
        spans, pieces = self._fit(text, tokens, keys, weights, pieces)
        paths = heading_paths(headings)
        starts = np.array([heading.start for heading in headings], np.int64)
        above = np.searchsorted(starts, [tokens.starts[p.core] for p in pieces], "right") - 1
        names = [paths[index] if index >= 0 else "" for index in above]
        return ChunkedDocument(document, _records(document, spans, names), tokens.overlong)

    def _fit(
        self,
        text: str,
        tokens: DocumentTokens,
        keys: npt.NDArray[np.uint64],
        weights: npt.NDArray[np.int64],
        pieces: list[_Piece],
    ) -> tuple[list[_Span], list[_Piece]]:
        """Return each piece's span and ids, splitting those whose own ids are over the limit.

        A piece's ids are a slice of the document's where that is exact; otherwise its cleaned text
        is tokenised alone, which can give a few more.
        """
        most = self.rules.max_tokens
        done: dict[int, tuple[_Piece, _Span]] = {}
        while pieces:
            spans = self._spans(text, tokens, pieces)
            again: list[_Piece] = []
            for piece, span in zip(pieces, spans, strict=True):
                if len(span.ids) <= most or piece.end - piece.core < 2:
                    done[piece.core] = (piece, span)
                    continue
                half = Limits.of(max(2, int(weights[piece.end] - weights[piece.core]) - 1), 0)
                inner = sorted(split_piece(keys, weights, piece.core, piece.end, half))
                bounds = [piece.core, *inner, piece.end]
                again += [_Piece(a, a, b) for a, b in pairwise(bounds)]
            pieces = again
        ordered = [done[core] for core in sorted(done)]
        visible = [(piece, span) for piece, span in ordered if span.text.strip()]
        return [span for _, span in visible], [piece for piece, _ in visible]

    def _spans(self, text: str, tokens: DocumentTokens, pieces: list[_Piece]) -> list[_Span]:
        """Return the pieces' characters, cleaned texts and ids."""
        spans = [_span(text, tokens, piece, self.clean) for piece in pieces]
        doubtful = [
            i for i, span in enumerate(spans) if not (self.tokenizer.word_local and span.exact)
        ]
        alone = self.tokenizer([spans[i].cleaned for i in doubtful]) if doubtful else []
        for i, found in zip(doubtful, alone, strict=True):
            spans[i] = replace(spans[i], ids=found.ids, exact=True)
        return spans


@dataclass(frozen=True, slots=True)
class _Span:
    """A chunk's characters, and what the model sees of them."""

    start: int
    end: int
    start_line: int
    end_line: int
    text: str
    cleaned: str
    ids: IntArray
    exact: bool
    """Whether `ids` are those of `cleaned`: whole words, an untouched text, no joint inside."""


def _span(text: str, tokens: DocumentTokens, piece: _Piece, clean: Cleaner) -> _Span:
    begin, end = piece.begin, piece.end
    first, last = int(tokens.starts[begin]), int(tokens.ends[end - 1])
    start, stop = grapheme_floor(text, first), grapheme_ceiling(text, last)
    if end < len(tokens):
        # The next chunk begins at its own floor: no character of a grapheme is left between.
        stop = min(stop, grapheme_floor(text, int(tokens.starts[end])))
    span = text[start:stop]
    cleaned = clean(span)
    whole_words = bool(tokens.word_start[begin]) and (
        end == len(tokens) or bool(tokens.word_start[end])
    )
    joint = np.searchsorted(tokens.joints, start, "right") < np.searchsorted(
        tokens.joints, stop, "left"
    )
    exact = (start, stop) == (first, last) and cleaned == span and whole_words and not joint
    return _Span(
        start=start,
        end=stop,
        start_line=int(tokens.start_lines[begin]) + 1,
        end_line=int(tokens.end_lines[end - 1]) + 1,
        text=span,
        cleaned=cleaned,
        ids=tokens.ids[begin:end],
        exact=exact,
    )


def _records(document: Document, spans: list[_Span], headings: list[str]) -> tuple[Chunk, ...]:
    seen: Counter[bytes] = Counter()
    chunks: list[Chunk] = []
    for ordinal, (span, heading) in enumerate(zip(spans, headings, strict=True)):
        chunk_hash = hashing.digest(span.cleaned.encode("utf-8", "surrogatepass"))
        chunks.append(
            Chunk(
                chunk_id=hashing.chunk_id(document.doc_id, chunk_hash, seen[chunk_hash]),
                doc_id=document.doc_id,
                chunk_hash=chunk_hash,
                ord=ordinal,
                start=span.start,
                end=span.end,
                start_line=span.start_line,
                end_line=span.end_line,
                heading=heading,
                text=span.text,
                token_ids=span.ids,
            )
        )
        seen[chunk_hash] += 1
    return tuple(chunks)
