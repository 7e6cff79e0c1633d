"""Turn the best rows of a query into hits."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from localembed.core.text import show_path
from localembed.search.best_line import best_line
from localembed.search.confidence import Calibration, Field
from localembed.search.ranking import Ranked, document, rank
from localembed.search.rerank import DEPTH, Reranking
from localembed.search.spread import spread
from localembed.search.surroundings import surroundings
from localembed.types.queries import OtherPlace, Query, SearchHit

if TYPE_CHECKING:
    from localembed.store.lance.candidates import StoredChunk
    from localembed.store.lance.read_rows import ChunkReader
    from localembed.types.arrays import Vector

_JUDGED = 100
"""Number of hits that have features."""


@dataclass(frozen=True, slots=True)
class HitSearch:
    """A table, and what its hits are to show."""

    reader: ChunkReader
    roots: Mapping[str, bytes]
    """root_id → absolute path; rows of other roots are no hits."""
    calibration: Calibration | None = None
    """Weights for the confidence of hits; without them, they have none."""
    reranking: Reranking | None = None
    """Reorders at least `DEPTH` hits."""

    def hits(self, query: Query, vector: Vector | None, where: str | None) -> tuple[SearchHit, ...]:
        """Return the best hits, best first, spread over files.

        Args:
            query: the query.
            vector: its vector; None for a search by text alone.
            where: condition that restricts the search; None for all rows.
        """
        wanted = query
        if self.reranking is not None:
            wanted = replace(query, top_k=max(query.top_k, DEPTH), per_file=0)
        among = self.reader.select(where) if where is not None else None
        ranked = rank(self.reader, wanted, vector, among)
        groups = spread(ranked, document, wanted.top_k, wanted.per_file)
        chunks = self._chunks([row for first, others in groups for row in (first, *others)])
        hits = self._judged(query, ranked, self._spread_hits(groups, chunks), chunks)
        if self.reranking is not None:
            best = spread(self.reranking.rerank(hits), _file, query.top_k, query.per_file)
            hits = [replace(first, also=tuple(map(_also, others))) for first, others in best]
        if not query.lines:
            return tuple(hits)
        around = surroundings(self.reader, [chunks[h.chunk_id] for h in hits], query.lines)
        return tuple(
            replace(found, before=before, after=after)
            for found, (before, after) in zip(hits, around, strict=True)
        )

    def _chunks(self, rows: Sequence[Ranked]) -> dict[str, StoredChunk]:
        """Return the contents of rows by their chunk ids, without those of other roots."""
        chunks = self.reader.fetch([row.candidate for row in rows])
        return {chunk.chunk_id.hex(): chunk for chunk in chunks if chunk.root_id in self.roots}

    def _spread_hits(
        self,
        groups: Sequence[tuple[Ranked, Sequence[Ranked]]],
        chunks: Mapping[str, StoredChunk],
    ) -> list[SearchHit]:
        """Return the hits of rows, each with the places of the others beside it."""

        def made(rows: Sequence[Ranked]) -> list[SearchHit]:
            ids = [row.candidate.chunk_id.hex() for row in rows]
            return [
                hit(chunks[chunk_id], self.roots, row)
                for chunk_id, row in zip(ids, rows, strict=True)
                if chunk_id in chunks
            ]

        return [
            replace(found, also=tuple(map(_also, made(others))))
            for first, others in groups
            for found in made([first])
        ]

    def _judged(
        self,
        query: Query,
        ranked: Sequence[Ranked],
        hits: list[SearchHit],
        chunks: Mapping[str, StoredChunk],
    ) -> list[SearchHit]:
        """Return the hits with their best lines, and their confidence if it is calibrated."""
        field, of = Field(query.text, ranked), self.calibration
        rows = {row.candidate.chunk_id.hex(): row for row in ranked}
        judged = []
        for found in hits[:_JUDGED]:
            features = field.features(rows[found.chunk_id], chunks[found.chunk_id])
            confidence = of.confidence(features) if of is not None else None
            line = found.start_line + best_line(found.text, query.text)[0]
            judged.append(replace(found, line=line, features=features, confidence=confidence))
        return judged + hits[_JUDGED:]


def hit(chunk: StoredChunk, roots: Mapping[str, bytes], row: Ranked | None = None) -> SearchHit:
    """Return a chunk as a hit; one that was not searched for has no scores."""
    root = roots[chunk.root_id]
    path = os.path.join(root, chunk.path) if chunk.path else root  # noqa: PTH118
    return SearchHit(
        chunk_id=chunk.chunk_id.hex(),
        score=row.score if row else 0.0,
        path=show_path(path),
        start_line=chunk.start_line,
        end_line=chunk.end_line,
        start=chunk.start,
        end=chunk.end,
        heading=chunk.heading,
        text=chunk.text,
        tokens=chunk.tokens,
        similarity=row.candidate.similarity if row else 0.0,
        text_score=row.candidate.text_score if row else 0.0,
        vector_rank=row.vector_rank if row else None,
        text_rank=row.text_rank if row else None,
        path_bytes=path,
        mtime_ns=chunk.mtime_ns,
        content_hash=chunk.content_hash,
    )


def _file(found: SearchHit) -> bytes:
    return found.path_bytes


def _also(found: SearchHit) -> OtherPlace:
    return OtherPlace(found.chunk_id, found.start_line, found.end_line, found.score)
