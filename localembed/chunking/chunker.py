"""The chunker: turn documents into chunks with the token ids that the model will read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from localembed.chunking.boundaries import ChunkSizes
from localembed.chunking.headings import Structure, paths_at
from localembed.chunking.rules import ChunkRules
from localembed.chunking.sections import Section, TokenSpan, sections, sections_together
from localembed.chunking.spans import grapheme_ceiling, grapheme_floor
from localembed.chunking.structure import find_headings
from localembed.chunking.tokens import BLOCK_SIZES, BlockSizes, DocumentTokens
from localembed.core import hashing
from localembed.core.cancellation import CancelToken
from localembed.types.documents import Chunk, ChunkedDocument, Cleaner, Document
from localembed.types.models import Tokenizer, share_known

if TYPE_CHECKING:
    from localembed.types.arrays import IntArray


@dataclass(frozen=True)
class Chunker:
    """Chunks documents using the token offsets of one tokenizer."""

    tokenizer: Tokenizer
    clean: Cleaner
    rules: ChunkRules
    prompt: str = ""
    """Prefix of every text that the model reads; not part of a chunk's text or hash."""
    token: CancelToken = field(default_factory=CancelToken)
    """Checked between the sections of a document."""
    blocks: BlockSizes = BLOCK_SIZES

    @cached_property
    def _prompt_ids(self) -> IntArray:
        return self.tokenizer([self.prompt])[0].ids

    @cached_property
    def _slices(self) -> bool:
        """Whether a chunk's ids are the prompt's ids and a slice of the document's."""
        return self.tokenizer.word_local and (not self.prompt or self.prompt[-1].isspace())

    def _ids(self, cleaned: Sequence[str]) -> list[IntArray]:
        """Return the ids of texts, each with the prompt in front."""
        return [tokens.ids for tokens in self.tokenizer([self.prompt + text for text in cleaned])]

    def __call__(self, documents: Sequence[Document]) -> list[ChunkedDocument]:
        """Return each document's chunks in order; none if it has no visible text.

        Args:
            documents: one of any length, of which only a section is held in memory; or several
                short ones, which take less time together than one by one.
        """
        limits = ChunkSizes.of(self.rules.max_tokens, self.rules.overlap_tokens)
        structures = [_structure(document) for document in documents]
        each: Iterable[Iterable[Section]]
        if len(documents) == 1:
            each = [sections(structures[0], self.tokenizer, limits, self.blocks)]
        else:
            each = sections_together(structures, self.tokenizer, limits, self.blocks)
        return [self._chunk(*parts) for parts in zip(documents, structures, each, strict=True)]

    def _chunk(
        self, document: Document, structure: Structure, parts: Iterable[Section]
    ) -> ChunkedDocument:
        """Return the chunks of a document's sections."""
        spans: list[_Span] = []
        truncated = 0
        for section in parts:
            self.token.raise_if_cancelled()
            spans += self._fitting_spans(document.text, section)
            truncated += len(section.tokens.overlong)
        titles = list(paths_at(structure.headings, (span.core for span in spans)))
        return ChunkedDocument(document, self._records(document, spans, titles), truncated)

    @property
    def _max_ids(self) -> int:
        """Maximum ids of a chunk, including those of the prompt."""
        return self.rules.max_tokens + len(self._prompt_ids)

    def _fitting_spans(self, text: str, section: Section) -> list[_Span]:
        """Return a section's chunks, dividing those whose own ids are over the limit.

        A chunk's ids are a slice of the document's where that is exact; otherwise its cleaned text
        is tokenised alone, which can give more ids.
        """
        max_ids = self._max_ids
        fitting: list[_Span] = []
        pending = section.token_spans()
        while pending:
            too_long: list[TokenSpan] = []
            spans = self._spans(text, section.tokens, pending)
            for token_span, span in zip(pending, spans, strict=True):
                if len(span.ids) <= max_ids:
                    fitting.append(span)
                elif token_span.end - token_span.core > 1:
                    too_long += section.halves(token_span)
                else:
                    fitting += self._forced(text, span)
            pending = too_long
        visible = [span for span in fitting if span.cleaned.strip()]
        return sorted(visible, key=lambda span: (span.core, span.start))

    def _forced(self, text: str, span: _Span) -> list[_Span]:
        """Divide one token's span into halves until each fits, inside a grapheme if necessary."""
        done: list[_Span] = []
        pending = [span]
        while pending:
            last = pending.pop()
            if len(last.ids) <= self._max_ids or len(last.text) < 2:
                done.append(last)
                continue
            middle = (last.start + last.end) // 2
            for start, end in ((middle, last.end), (last.start, middle)):
                cleaned = self.clean(text[start:end])
                ids = self._ids([cleaned])[0]
                pending.append(
                    last._replace(
                        start=start, core=start, end=end, text=text[start:end],
                        cleaned=cleaned, ids=ids,
                    )
                )  # fmt: skip
        return done

    def _spans(
        self, text: str, tokens: DocumentTokens, token_spans: list[TokenSpan]
    ) -> list[_Span]:
        """Return the characters, cleaned texts and ids of token spans."""
        spans = [self._span(text, tokens, entry) for entry in token_spans]
        inexact = [i for i, span in enumerate(spans) if not (self._slices and span.exact)]
        for i, ids in zip(inexact, self._ids([spans[i].cleaned for i in inexact]), strict=True):
            spans[i] = spans[i]._replace(ids=ids)
        return spans

    def _span(self, text: str, tokens: DocumentTokens, token_span: TokenSpan) -> _Span:
        """Return the characters, cleaned text and ids of one token span."""
        begin, end = token_span.begin, token_span.end
        first, last = int(tokens.starts[begin]), int(tokens.ends[end - 1])
        start, stop = grapheme_floor(text, first), grapheme_ceiling(text, last)
        if end < len(tokens):
            # The next chunk begins at its grapheme floor: leave no characters in between.
            stop = min(stop, grapheme_floor(text, int(tokens.starts[end])))
        span = text[start:stop]
        cleaned = self.clean(span)
        whole_words = bool(tokens.word_start[begin]) and (
            end == len(tokens) or bool(tokens.word_start[end])
        )
        joints = tokens.joints  # nearly always none: skip the costly test
        joint = len(joints) > 0 and bool(((joints > start) & (joints < stop)).any())
        # Whole words, unchanged text, no joint inside.
        exact = (start, stop) == (first, last) and cleaned == span and whole_words and not joint
        return _Span(
            start=start,
            core=int(tokens.starts[token_span.core]),
            end=stop,
            start_line=int(tokens.start_lines[begin]) + 1,
            end_line=int(tokens.end_lines[end - 1]) + 1,
            text=span,
            cleaned=cleaned,
            ids=np.concatenate((self._prompt_ids, tokens.ids[begin:end])),
            exact=exact,
        )

    def _records(
        self, document: Document, spans: list[_Span], headings: list[str]
    ) -> tuple[Chunk, ...]:
        seen: Counter[bytes] = Counter()
        chunks: list[Chunk] = []
        for ordinal, (span, heading) in enumerate(zip(spans, headings, strict=True)):
            chunk_hash = hashing.digest(span.cleaned.encode("utf-8", "surrogatepass"))
            # Most texts are clean: use one string for both.
            cleaned = span.text if span.cleaned == span.text else span.cleaned
            own_ids = span.ids[len(self._prompt_ids) :]
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
                    model_text=self.prompt + cleaned,
                    readable=share_known(own_ids, self.tokenizer.unknown_id),
                )
            )
            seen[chunk_hash] += 1
        return tuple(chunks)


def _structure(document: Document) -> Structure:
    headings = find_headings(document.text, document.kind, document.language)
    return Structure(document.text, headings, is_prose=document.kind != "code")


class _Span(NamedTuple):
    """A chunk's characters, its cleaned text and its ids."""

    start: int
    core: int
    """First character after the overlap."""
    end: int
    start_line: int
    end_line: int
    text: str
    cleaned: str
    ids: IntArray
    exact: bool
    """Whether `ids` are exactly those of prompt and `cleaned`, so need not be computed again."""
