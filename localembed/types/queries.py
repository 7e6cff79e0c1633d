"""The records of a query: what may be looked at, and what was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SearchMode = Literal["hybrid", "vector", "text"]


@dataclass(frozen=True, slots=True)
class SearchHit:
    """A chunk that answers a query."""

    chunk_id: str
    """Hex."""
    score: float
    """A similarity: higher is closer."""
    path: str
    """Absolute, for display."""
    start_line: int
    end_line: int
    start: int
    end: int
    heading: str
    text: str
    tokens: int
    """Of the model, without special ones."""
    similarity: float
    """Cosine to the query; 0 in mode text, and where the chunk has no vector."""
    text_score: float
    """BM25; 0 where full text did not bring the chunk up."""
    vector_rank: int | None
    """Place among what vectors brought up, from 1; None if they did not."""
    text_rank: int | None
    """Place among what full text brought up."""
    found_rank: int | None = None
    """Place before a reranker read it; None without one."""
    before: str = ""
    """The lines in front of the text that were asked for, the rest of its first one included."""
    after: str = ""
    """The same behind it."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What a query may look at; everything by default."""

    paths: tuple[str, ...] = ()
    """Globs; a path has to match one of them."""
    languages: tuple[str, ...] = ()
    """Names such as python, or suffixes such as py; a path has to promise one of them."""
    since_ns: int | None = None
    """Files changed at this time or later, in nanoseconds since 1970."""
    where: str | None = None
    """A condition in SQL over the columns of a chunk."""


EVERYTHING = Filter()


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for, and how."""

    text: str
    """In any words, not empty; of a search for what is like it a path, path:line or chunk id."""
    mode: SearchMode = "hybrid"
    top_k: int = 10
    """How many hits."""
    model: str | None = None
    """Whose table is searched; the default one's if not given."""
    filter: Filter = EVERYTHING
    """Applied before the search, so that all hits count."""
    lines: int = 0
    """How many lines around a hit to bring along."""
    rerank: str | None = None
    """The reranker that orders the best hits anew."""
    at: str | None = None
    """The version that is searched: a run's number or a tag; the newest if not given."""
    allow_network: bool = False
    """Whether a server on another machine may be asked, also where the settings do not say so."""


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The hits of one query, and what they were found with."""

    query: str
    mode: SearchMode
    version: int
    model: str
    seconds: float
    hits: tuple[SearchHit, ...]
    complete: bool
    """False while the first build is not finished: more may be found later."""
    pieces: int
    """In how many pieces the query was embedded; more than one if it is longer than the model."""
