"""Rerank the best hits with a model that reads the query and each text together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from localembed.types.queries import SearchHit

if TYPE_CHECKING:
    from localembed.types.models import Reranker

DEPTH = 50
"""Minimum number of hits to rerank; each costs a forward pass."""


@dataclass(frozen=True, slots=True)
class Reranking:
    """Reranks the hits of one query."""

    reranker: Reranker
    query: str

    def rerank(self, hits: Sequence[SearchHit]) -> tuple[SearchHit, ...]:
        """Return all hits, best first by the reranker's scores, which replace their scores."""
        if not hits:
            return ()
        scores = self.reranker(self.query, [_text(hit) for hit in hits])
        scored = [
            replace(hit, score=float(score), found_rank=rank)
            for rank, (hit, score) in enumerate(zip(hits, scores, strict=True), start=1)
        ]
        return tuple(sorted(scored, key=lambda hit: -hit.score))


def _text(hit: SearchHit) -> str:
    """Return the text of a hit for the reranker."""
    return f"{hit.heading}\n{hit.text}" if hit.heading else hit.text
