"""Sizes and thresholds that divide the work: one record, passed down from the workspace."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes and thresholds that no user needs to set; each default was measured."""

    first_batch_chunks: int = 16
    """Chunks per commit until the speed of embedding is known."""
    batch_chunks: int = 2048
    """Chunks per commit of a remote model, or if most vectors are reused."""
    large_batch_chunks: int = 8192
    """Maximum chunks per commit: how many are sorted by length together."""
    large_batch_bytes: int = 3 << 20
    """Maximum bytes of files per commit of more than `batch_chunks`."""
    max_chunk_threads: int = 4
    """Maximum threads that read and chunk files in this process."""
    max_chunk_workers: int = 4
    """Maximum worker processes for it; each makes 8,300 chunks/s, and writing takes 15,400."""
    worker_start_bytes: int = 16 << 20
    """Bytes of files from which worker processes may pay off; one takes half a second to start."""
    worker_start_ratio: float = 1.0
    """Chunking time per embedding time from which workers are started; 0 starts them at once."""
    min_text_slack: int = 100
    """Rows that may always be outside the full-text index; they are searched all the same."""
    max_text_slack: int = 5_000
    """Maximum rows outside it; between the two, one in a hundred may be.

    Each such row costs every text query 50 us, and a new index 66 us per row of the table."""
    vector_slack: int = 20_000
    """Rows that may be outside the vector index, or one in twenty; each query compares them all."""
    max_fragments: int = 30
    """Maximum small fragments of a large table."""
    max_small_fragments: int = 10
    """Maximum small fragments of a small table: only a clean-up frees replaced indexes."""
    small_table_rows: int = 100_000
    """Maximum rows of a small table."""
    resident_tokens: int = 1024
    """Maximum tokens that the resident embeds for a run, at 1.7 ms each; loading takes 2.8 s."""
    in_process_rows: int = 20_000
    """Maximum rows to index in this process; starting a child process would take longer."""
    exact_rows: int = 150_000
    """Maximum rows that are all compared with a query; larger tables get a vector index."""
    exact_filtered_rows: int = 150_000
    """Maximum rows left by a filter that are all compared, even with a vector index."""
    memory_index_bytes: int = 200_000_000
    """Maximum bytes of vectors kept in memory: 130,000 of 384 dimensions."""


DEFAULT_LIMITS = Limits()
