"""Answer queries from the version that head.json pins: search, fuse the rankings, rerank."""

from localembed.search.changes import changes_between
from localembed.search.rerank import Reranking
from localembed.search.searcher import Answer, Searcher
from localembed.types.tables import Changes

__all__ = ["Answer", "Changes", "Reranking", "Searcher", "changes_between"]
