"""The records of a query: its filter, its options and its hits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SearchMode = Literal["hybrid", "vector", "text"]


GOOD = 0.25
"""Least confidence of a hit that may be an answer (see docs/ranking.md)."""


@dataclass(frozen=True, slots=True)
class OtherPlace:
    """Another chunk of a hit's file that was found."""

    chunk_id: str
    """Id of the chunk, in hex."""
    start_line: int
    end_line: int
    score: float
    """Rank score; higher is closer."""


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A chunk that answers a query."""

    chunk_id: str
    """Id of the chunk, in hex."""
    score: float
    """Rank score; higher is closer."""
    path: str
    """Absolute path, for display."""
    start_line: int
    end_line: int
    start: int
    end: int
    heading: str
    text: str
    tokens: int
    """Number of the model's tokens, without special tokens."""
    similarity: float
    """Cosine to the query; 0 in mode text, and where the chunk has no vector."""
    text_score: float
    """BM25; 0 if full-text search did not find the chunk."""
    vector_rank: int | None
    """Rank in the vector search, from 1; None if it did not find the chunk."""
    text_rank: int | None
    """Rank in the full-text search, from 1; None if it did not find the chunk."""
    found_rank: int | None = None
    """Rank before reranking; None without a reranker."""
    before: str = ""
    """The requested lines before the text, including the start of its first line."""
    after: str = ""
    """The requested lines after the text, including the end of its last line."""
    path_bytes: bytes = b""
    """Absolute path as the system has it, which need not be valid UTF-8."""
    mtime_ns: int = 0
    """Modification time of the file when it was indexed, in nanoseconds since 1970."""
    content_hash: bytes = b""
    """Digest of the file when it was indexed."""
    stale: bool = False
    """Whether the file has changed since, or is gone."""
    line: int = 0
    """The line that says most about the query, for the first 100 hits; else 0."""
    confidence: float | None = None
    """How likely the hit answers the query, 0 to 1; None if the model and mode are not calibrated,
    after reranking, for what is similar to a passage, and beyond rank 100."""
    features: tuple[float, ...] = ()
    """What the confidence rests on (see `search.confidence.FEATURES`); empty beyond rank 100."""
    also: tuple[OtherPlace, ...] = ()
    """Other chunks of the file that would be hits if there were no maximum per file."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What a query searches; everything by default."""

    paths: tuple[str, ...] = ()
    """Globs; a path must match one of them."""
    languages: tuple[str, ...] = ()
    """Names such as python, or suffixes such as py; a file must have one of them."""
    since_ns: int | None = None
    """Earliest modification time, in nanoseconds since 1970."""
    where: str | None = None
    """SQL condition over the columns of a chunk."""


EVERYTHING = Filter()


@dataclass(frozen=True, slots=True)
class Query:
    """A query with its options."""

    text: str
    """The query, not empty; for a search by similarity, a path, path:line or chunk id."""
    mode: SearchMode = "hybrid"
    top_k: int = 10
    """Maximum number of hits."""
    per_file: int = 2
    """Maximum number of hits of one file, unless too few files are found; 0 for no maximum."""
    model: str | None = None
    """Model whose table is searched; None for the default table."""
    filter: Filter = EVERYTHING
    """Filter that is applied before the search, so that `top_k` hits remain."""
    lines: int = 0
    """Number of lines to include before and after each hit."""
    rerank: str | None = None
    """Reranker for the best hits; None for none."""
    at: str | None = None
    """Version to search: a run's number or a tag; None for the newest."""
    allow_network: bool = False
    """Whether requests may leave this machine, even if the settings do not allow it."""


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The hits of one query, with the model and version that were searched."""

    query: str
    mode: SearchMode
    version: int
    model: str
    seconds: float
    hits: tuple[SearchHit, ...]
    complete: bool
    """Whether the first build of the table is complete; if not, more may be found later."""
    pieces: int
    """Number of parts in which the query was embedded; above 1 if it exceeds the model's limit."""
    readable: bool = True
    """Whether the model knows the query's words; if not, hybrid search compares words alone."""

    @property
    def good(self) -> bool | None:
        """Whether the best hit may answer the query; None if its confidence is not known."""
        best = self.hits[0].confidence if self.hits else 0.0
        return None if best is None else best >= GOOD
