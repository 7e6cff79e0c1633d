"""Answer a query from what head.json pins: `searcher` reads, `fusion` ranks, `rerank` again."""

from localembed.search.changes import Changes, changes_between
from localembed.search.rerank import reranked
from localembed.search.searcher import Answer, Searcher

__all__ = ["Answer", "Changes", "Searcher", "changes_between", "reranked"]
