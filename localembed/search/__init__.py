"""Answer a query from what head.json pins: `searcher` reads, `fusion` ranks, `rerank` again."""

from localembed.search.changes import changes_between
from localembed.search.rerank import reranked
from localembed.search.searcher import Answer, Searcher
from localembed.types.tables import Changes

__all__ = ["Answer", "Changes", "Searcher", "changes_between", "reranked"]
