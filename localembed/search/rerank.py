"""The best hits in the order of a reranker, which reads the query and each text together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from localembed.types.queries import SearchHit

if TYPE_CHECKING:
    from localembed.types.models import Reranker

DEPTH = 50
"""How many hits a reranker reads at least: each costs it a pass through its model."""


def reranked(
    reranker: Reranker, query: str, top_k: int, hits: Sequence[SearchHit]
) -> tuple[SearchHit, ...]:
    """Return the best hits by the reranker's scores, which take the place of their own."""
    if not hits:
        return ()
    scores = reranker(query, [_read(hit) for hit in hits])
    scored = [
        replace(hit, score=float(score), found_rank=rank)
        for rank, (hit, score) in enumerate(zip(hits, scores, strict=True), start=1)
    ]
    return tuple(sorted(scored, key=lambda hit: -hit.score)[:top_k])


def _read(hit: SearchHit) -> str:
    """Return what the reranker is shown of a hit."""
    return f"{hit.heading}\n{hit.text}" if hit.heading else hit.text
