"""Search candidates: rows with their ids and scores, and the content of rows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """The content of a row, without its vector."""

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
    mtime_ns: int
    content_hash: bytes


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that one of the searches returned."""

    row_id: int
    chunk_id: bytes
    doc_id: bytes
    """Id of its document."""
    similarity: float
    """Cosine to the query vector; 0 if either is missing."""
    text_score: float
    """BM25; 0 for a row that full text did not return."""
    chunk: StoredChunk | None = None
    """The content of the row if the search has read it; `ChunkReader.fetch` reads the others."""
