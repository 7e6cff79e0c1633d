"""The sizes and thresholds by which work is divided: one record, handed in from the top."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes and thresholds that no user needs to set; each default was measured."""

    batch_chunks: int = 2048
    """Chunks committed together: what a kill can lose, and the window that is sorted by length."""
    large_batch_chunks: int = 8192
    """Maximum chunks per commit where embedding is faster than committing."""
    large_batch_bytes: int = 3 << 20
    """Maximum bytes of files per such commit."""
    large_batch_seconds: float = 2.0
    """Seconds of embedding that a larger batch may lose to a kill."""
    max_chunk_threads: int = 4
    """Threads that read and chunk files in this process."""
    max_chunk_workers: int = 4
    """Worker processes that do; each chunks 8,300 chunks/s, and writing takes in 15,400."""
    worker_start_bytes: int = 16 << 20
    """Bytes of files from which worker processes may pay off; one takes half a second to start."""
    worker_start_ratio: float = 1.0
    """Chunking seconds per embedding second from which they are started; 0 starts them at once."""


DEFAULT_LIMITS = Limits()
