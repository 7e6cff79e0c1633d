"""Search the pinned version of a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Protocol, TypeVar

from localembed.errors import ModelChangedError, NotIndexedError
from localembed.search.calibrations import calibration_of
from localembed.search.hits import HitSearch, hit
from localembed.search.rerank import Reranking
from localembed.store.head import read_head
from localembed.store.lance.connection import VersionGoneError
from localembed.store.lance.filters import condition, of_roots
from localembed.store.layout import Layout
from localembed.store.versions import find_version
from localembed.types.documents import READABLE
from localembed.types.limits import DEFAULT_LIMITS, Limits
from localembed.types.queries import Query, SearchHit
from localembed.types.tables import TableHead

if TYPE_CHECKING:
    from localembed.store.lance.read_rows import ChunkReader
    from localembed.types.arrays import Vector
    from localembed.types.models import EmbeddedQuery

Found = TypeVar("Found")


class QueryEmbedder(Protocol):
    """Embeds queries with the model of a table."""

    def embed(self, entry: TableHead, text: str, /) -> EmbeddedQuery:
        """Return the query's vector, and what is known of it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Hits and the table they come from."""

    entry: TableHead
    hits: tuple[SearchHit, ...]
    pieces: int = 1
    """Number of parts in which the query was embedded."""
    readable: bool = True
    """Whether the model could read the query; if not, only its words were searched."""


class Searcher:
    """Answers queries on a workspace without taking a lock or opening the manifest.

    Rows of roots that are not given are never shown: config.toml was edited or lost.
    It may be long-lived: head.json is read for every query, and the table stays open while pinned.
    Safe for several threads.
    """

    def __init__(self, layout: Layout, limits: Limits = DEFAULT_LIMITS) -> None:
        """Set the workspace; nothing is read yet."""
        self._layout = layout
        self._limits = limits
        self._open: tuple[tuple[str, str, int], ChunkReader] | None = None
        self._opening = Lock()

    @property
    def vector_bytes(self) -> int:
        """Bytes of the vectors that are kept in memory."""
        found = self._open
        return found[1].vector_bytes if found else 0

    def search(
        self,
        query: Query,
        roots: Mapping[str, bytes],
        embedder: QueryEmbedder,
        reranking: Reranking | None = None,
    ) -> Answer:
        """Return the best hits, best first.

        Args:
            query: the query.
            roots: root_id → absolute path, for the paths of hits.
            embedder: embeds the query; not used in text mode.
            reranking: reorders at least `DEPTH` hits.

        Raises:
            UsageError: the filter is invalid.
            NotIndexedError: there is no table, or its first batch is not yet committed.
            ModelChangedError: the model did not return a usable vector.
        """

        def search(reader: ChunkReader, entry: TableHead) -> Answer:
            vector, pieces, readable = None, 1, True
            if query.mode != "text":
                embedded = embedder.embed(entry, query.text)
                pieces, readable = embedded.pieces, embedded.readable >= READABLE
                vector = _usable(embedded.vector, query.text)
            if query.mode == "hybrid" and not readable:
                vector = None
            where = _all_of(condition(query.filter, roots), _of_known(entry, roots))
            known = None
            if reranking is None:
                by = "text" if vector is None else query.mode
                known = calibration_of(self._layout, entry.model, by)
            found = HitSearch(reader, roots, known, reranking).hits(query, vector, where)
            return Answer(entry, found, pieces, readable)

        return self._pinned(query, search)

    def holds(self, query: Query, roots: Mapping[str, bytes]) -> bool:
        """Tell whether the filter of a query leaves anything to search."""

        def search(reader: ChunkReader, _entry: TableHead) -> bool:
            return reader.select(condition(query.filter, roots) or "true").rows > 0

        return self._pinned(query, search)

    def like(self, where: str, query: Query, roots: Mapping[str, bytes]) -> Answer | None:
        """Return the chunks most similar to the mean vector of given chunks, without these.

        Args:
            where: the condition that selects the given chunks.
            query: the number of hits and the filter; mode "vector".
            roots: root_id → absolute path.

        Returns None if no chunk is selected, or none that has a vector.
        """

        def search(reader: ChunkReader, entry: TableHead) -> Answer | None:
            known = _of_known(entry, roots)
            vector = reader.mean_vector(_all_of(where, known) or "true")
            if vector is None:
                return None
            others = _all_of(f"NOT ({where})", condition(query.filter, roots), known)
            # Words of the place say nothing about the hits.
            hits = HitSearch(reader, roots).hits(replace(query, text=""), vector, others)
            return Answer(entry, hits)

        return self._pinned(query, search)

    def show(self, where: str, query: Query, roots: Mapping[str, bytes]) -> Answer:
        """Return the chunks that match a condition, in document order."""

        def search(reader: ChunkReader, entry: TableHead) -> Answer:
            found = reader.find(where)
            return Answer(entry, tuple(hit(c, roots) for c in found if c.root_id in roots))

        return self._pinned(query, search)

    def _pinned(self, query: Query, search: Callable[[ChunkReader, TableHead], Found]) -> Found:
        """Search the version that head.json names, and retry once if it has been removed since."""
        name, entry = self._choose(query)
        try:
            return search(self._reader(name, entry), entry)
        except VersionGoneError:
            # A run has replaced the version since head.json was read: use the new one.
            with self._opening:
                self._open = None
            name, entry = self._choose(query)
            return search(self._reader(name, entry), entry)

    def _choose(self, query: Query) -> tuple[str, TableHead]:
        if query.at is not None:
            version = find_version(self._layout, query.at)
            return version.table, version.entry
        found = read_head(self._layout).table(query.model)
        if found is None:
            of_model = f" with model '{query.model}'" if query.model else ""
            message = (
                f"Nothing is indexed{of_model} in {self._layout.folder} yet. Run: localembed index "
                "FOLDER (if a run is in progress, its first batch is not stored yet)"
            )
            raise NotIndexedError(message)
        return found

    def _reader(self, name: str, entry: TableHead) -> ChunkReader:
        from localembed.store.lance.read_rows import ChunkReader

        pinned = (name, entry.uuid, entry.lance_version)
        with self._opening:
            if self._open is None or self._open[0] != pinned:
                self._open = (pinned, ChunkReader(self._layout, name, entry, self._limits))
            return self._open[1]


def _of_known(entry: TableHead, roots: Mapping[str, bytes]) -> str | None:
    """Return the condition for rows of known roots, None if the table has no others."""
    return of_roots(roots) if entry.roots.keys() - roots.keys() else None


def _all_of(*conditions: str | None) -> str | None:
    """Return the conjunction of those conditions that are given, None without any."""
    return " AND ".join(f"({part})" for part in conditions if part) or None


def _usable(vector: Vector, query: str) -> Vector:
    """Return the vector; reject one that is not finite or all zeros and would find nothing."""
    if math.isfinite(float(vector.sum())) and vector.any():
        return vector
    message = f"The model did not return a usable vector for {query!r}. Try: --mode text"
    raise ModelChangedError(message)
