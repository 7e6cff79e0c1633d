"""Gather documents into windows: what is embedded together and committed at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localembed.pipeline.counters import RunCounters
from localembed.types.limits import Limits

if TYPE_CHECKING:
    from localembed.pipeline.ingest import Ingested

    Window = list[Ingested]


_SHARE = 0.01
"""Share of the time so far that may pass between two commits: each one makes a file of rows, and
slows down the next by half a millisecond."""


@dataclass(slots=True)
class WindowSize:
    """Size of a window so far."""

    chunks: int = 0
    tokens: int = 0
    bytes: int = 0
    """Size of the files that its chunks come from."""

    def add(self, entry: Ingested) -> None:
        """Add the outcome of one file."""
        if entry.chunked is not None and entry.chunked.chunks:
            self.chunks += len(entry.chunked.chunks)
            self.tokens += sum(len(chunk.token_ids) for chunk in entry.chunked.chunks)
            self.bytes += entry.file.stat.size


@dataclass(frozen=True, slots=True)
class CommitTimes:
    """Decides when a window is full: as much as the model embeds between two commits."""

    limits: Limits
    counters: RunCounters
    """Measure how fast windows are embedded."""
    seconds: float
    """Seconds of embedding per commit, more in a run of many; 0 for windows of one size, as a
    remote model gets them."""

    def is_full(self, window: WindowSize) -> bool:
        """Tell whether a window is full.

        The first ones are small, so that the first vectors are soon found and the model's speed is
        soon known.
        """
        limits = self.limits
        if not self.seconds:
            return window.chunks >= limits.batch_chunks
        speed = self.counters.speed()
        if speed is None:
            return window.chunks >= min(limits.first_batch_chunks, limits.batch_chunks)
        # Reused vectors take no time, and say nothing about the model that the next text needs.
        most = limits.batch_chunks if speed.reuses else limits.large_batch_chunks
        many = window.chunks >= min(limits.batch_chunks, most)
        return (
            window.chunks >= most
            or (many and window.bytes >= limits.large_batch_bytes)
            or window.tokens >= speed.tokens * max(self.seconds, self.counters.elapsed() * _SHARE)
        )


def windows(
    entries: Iterator[Ingested], times: CommitTimes, counters: RunCounters
) -> Iterator[Window]:
    """Gather whole documents until they fill a window.

    Args:
        entries: outcomes of files.
        times: when a window is full.
        counters: announce each file and its chunks.
    """
    window: Window = []
    size = WindowSize()
    for entry in entries:
        window.append(entry)
        size.add(entry)
        chunks = len(entry.chunked.chunks) if entry.chunked else 0
        counters.read_file(entry.file.stat.size, chunks)
        if times.is_full(size):
            yield window
            window, size = [], WindowSize()
    if window:
        yield window
