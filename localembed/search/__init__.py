"""Answer a query from what head.json pins: `searcher` reads, `fusion` ranks, `rerank` again."""

from localembed.search.rerank import DEPTH, reranked
from localembed.search.searcher import Answer, Searcher

__all__ = ["DEPTH", "Answer", "Searcher", "reranked"]
