"""Rank the rows of a table that may answer a query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localembed.search.definitions import Definitions, is_identifier
from localembed.search.fusion import TEXT_DEPTH, VECTOR_DEPTH, fuse
from localembed.search.spread import is_wide
from localembed.search.words import text_query

if TYPE_CHECKING:
    from localembed.store.lance.candidates import Candidate
    from localembed.store.lance.read_rows import ChunkReader, Selection
    from localembed.types.arrays import Vector
    from localembed.types.queries import Query

_PER_HIT, _DEEPER, _MAX_DEPTH = 4, 4, 10_000
"""Rows to look for, in multiples of the hits wanted, and again of those if too few files are among
them."""
_READ = 50
"""Rows among which the definition of a name is looked for."""
_ABOVE = 1e-3
"""Distance of a definition's score from the best other one, so that scores are not tied."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A row with its place in both searches."""

    candidate: Candidate
    score: float
    vector_rank: int | None
    text_rank: int | None


def rank(
    reader: ChunkReader, query: Query, vector: Vector | None, among: Selection | None
) -> list[Ranked]:
    """Return rows, best first: enough for the hits of a query after `spread`, if there are.

    Args:
        reader: the table.
        query: the query, whose mode says which of the searches are made.
        vector: the query's vector; None for a search by text alone.
        among: restricts the search to these rows.
    """
    by_vector: Sequence[Candidate] = ()
    by_text: Sequence[Candidate] = ()
    if vector is not None:
        by_vector = _deep(query, VECTOR_DEPTH, lambda d: reader.by_vector(vector, d, among))
    if query.mode == "hybrid":
        by_text = reader.by_text(text_query(query.text), TEXT_DEPTH, vector, among)
        scored = fuse(query.text, by_vector, by_text)
    elif query.mode == "text":
        words = text_query(query.text)
        by_text = _deep(query, TEXT_DEPTH, lambda d: reader.by_text(words, d, vector, among))
        scored = [(candidate.text_score, candidate) for candidate in by_text]
    else:
        scored = [(candidate.similarity, candidate) for candidate in by_vector]
    if query.mode != "vector" and is_identifier(query.text):
        scored = _definitions_first(reader, query.text, scored)
    vector_ranks, text_ranks = (
        {candidate.chunk_id: place for place, candidate in enumerate(found, 1)}
        for found in (by_vector, by_text)
    )
    return [
        Ranked(c, score, vector_ranks.get(c.chunk_id), text_ranks.get(c.chunk_id))
        for score, c in scored
    ]


def _definitions_first(
    reader: ChunkReader, name: str, scored: list[tuple[float, Candidate]]
) -> list[tuple[float, Candidate]]:
    """Lift each row that defines a name above all others, among the first ones."""
    definitions = Definitions(name)
    first = scored[:_READ]
    chunks = reader.fetch([candidate for _, candidate in first])
    above = max((score for score, _ in first), default=0.0) + _ABOVE
    lowest = min((score for score, _ in first), default=0.0)
    lifted = [
        (above + score - min(0.0, lowest), candidate)
        if definitions.hold(chunk.heading, chunk.text)
        else (score, candidate)
        for (score, candidate), chunk in zip(first, chunks, strict=True)
    ]
    return sorted([*lifted, *scored[_READ:]], key=lambda item: (-item[0], item[1].chunk_id))


def document(ranked: Ranked) -> bytes:
    """Return the id of the document that a row is part of."""
    return ranked.candidate.doc_id


def _deep(query: Query, least: int, search: Callable[[int], list[Candidate]]) -> list[Candidate]:
    """Search for `least` rows, and deeper until enough files are among them."""
    wanted = query.top_k * (_PER_HIT if query.per_file else 1)
    depth = min(_MAX_DEPTH, max(least, wanted))
    while True:
        found = search(depth)
        if len(found) < depth or depth >= _MAX_DEPTH:
            return found
        if is_wide(found, lambda candidate: candidate.doc_id, query.top_k, query.per_file):
            return found
        depth = min(_MAX_DEPTH, depth * _DEEPER)
