"""Answer a query from what head.json pins: `fusion` ranks, `searcher` reads."""

from localembed.search.searcher import Answer, Searcher

__all__ = ["Answer", "Searcher"]
