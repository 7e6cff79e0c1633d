"""What searches bring up: rows, known by their ids and scores, and what rows hold."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """What a row holds, but for its vector."""

    chunk_id: bytes
    root_id: str
    path: bytes
    start: int
    end: int
    start_line: int
    end_line: int
    heading: str
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that one of the searches brought up."""

    row_id: int
    chunk_id: bytes
    similarity: float
    """Cosine to the query vector; 0 where either has none."""
    text_score: float
    """BM25; 0 for a row that full text did not bring up."""
    chunk: StoredChunk | None = None
    """What the row holds, where the search has read it; `ChunkReader.fetch` reads the others."""
