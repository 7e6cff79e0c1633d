"""One query against the pinned version of one table."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from localembed.errors import ModelChangedError, NotIndexedError
from localembed.report import show_path
from localembed.search.fusion import TEXT_DEPTH, fuse
from localembed.store.head import TableHead, read_head
from localembed.store.lance import VersionGoneError
from localembed.store.layout import Layout
from localembed.store.words import compound_parts
from localembed.types import SearchHit, SearchMode

if TYPE_CHECKING:
    from localembed.store.reader import Candidate
    from localembed.types import Vector

_MOST_WORDS = 2000
"""Of a text query: pruning long ones costs quality, 2,000 words take 67 ms at 113k rows."""


class Searcher:
    """Answers queries from one table; it never takes a lock and opens no manifest."""

    def __init__(self, layout: Layout, roots: Mapping[str, bytes], model: str | None) -> None:
        """Choose the table.

        Args:
            layout: the workspace.
            roots: root_id → absolute path, to show where hits lie.
            model: search this model's table instead of the default one.

        Raises:
            NotIndexedError: there is none, or its first batch is not committed yet.
        """
        self._layout = layout
        self._roots = roots
        self._model = model
        self.name, self.entry = self._choose()

    def _choose(self) -> tuple[str, TableHead]:
        found = read_head(self._layout).table(self._model)
        if found is None:
            of_model = f" with model '{self._model}'" if self._model else ""
            message = (
                f"Nothing is indexed{of_model} in {self._layout.folder} yet. Run: localembed index "
                "FOLDER (if one is running, its first batch is not stored yet)"
            )
            raise NotIndexedError(message)
        return found

    def search(
        self, query: str, mode: SearchMode, top_k: int, embed: Callable[[str], Vector]
    ) -> list[SearchHit]:
        """Return the best hits, best first.

        Args:
            query: in any words; not empty.
            mode: hybrid, vector or text.
            top_k: how many hits.
            embed: the query's vector in this table's space; not called in text mode.
        """
        vector = _usable(embed(query), query) if mode != "text" else None
        try:
            ranked = self._ranked(query, mode, top_k, vector)
        except VersionGoneError:
            # A run has replaced the version since head.json was read: the new one is as good.
            self.name, self.entry = self._choose()
            ranked = self._ranked(query, mode, top_k, vector)
        return [self._hit(score, candidate) for score, candidate in ranked[:top_k]]

    def _ranked(
        self, query: str, mode: SearchMode, top_k: int, vector: Vector | None
    ) -> list[tuple[float, Candidate]]:
        from localembed.store.reader import ChunkReader

        reader = ChunkReader(self._layout, self.name, self.entry.lance_version)
        by_vector = reader.by_vector(vector, top_k) if vector is not None else []
        if mode == "vector":
            return [(candidate.similarity, candidate) for candidate in by_vector]
        depth = TEXT_DEPTH if mode == "hybrid" else top_k
        by_text = reader.by_text(_text_query(query), depth, vector)
        if mode == "text":
            return [(candidate.text_score, candidate) for candidate in by_text]
        return fuse(query, by_vector, by_text)

    def _hit(self, score: float, candidate: Candidate) -> SearchHit:
        root = self._roots.get(candidate.root_id, b"")
        path = os.path.join(root, candidate.path) if candidate.path else root  # noqa: PTH118
        return SearchHit(
            chunk_id=candidate.chunk_id.hex(),
            score=score,
            path=show_path(path),
            start_line=candidate.start_line,
            end_line=candidate.end_line,
            start=candidate.start,
            end=candidate.end,
            heading=candidate.heading,
            text=candidate.text,
        )


def _usable(vector: Vector, query: str) -> Vector:
    """Return the vector; one that is not finite or all zeros would silently find nothing."""
    if math.isfinite(float(vector.sum())) and vector.any():
        return vector
    message = f"The model gives no usable vector for {query!r}. Try: --mode text"
    raise ModelChangedError(message)


def _text_query(query: str) -> str:
    words = " ".join(query.split()[:_MOST_WORDS])
    return f"{words} {compound_parts(words)}".strip()
