"""How far a run is, for its heartbeat: what is embedded, how fast, and how long the rest takes."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field

from localembed.types.events import RunEvent, Step

_SECONDS = 1.0
"""Minimum time between two heartbeats."""
_SAMPLES = 30
"""Number of heartbeats over which the rate is measured, from the first vectors on."""


@dataclass(slots=True)
class RunProgress:
    """Sums of a run's events; one thread at a time may use it."""

    files: int = 0
    files_total: int = 0
    chunks: int = 0
    """Number of chunks that have their vectors, embedded or reused."""
    chunks_total: int = 0
    """Estimate of all chunks of the run."""
    _due: float = 0.0
    _samples: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=_SAMPLES))

    def take(self, event: RunEvent) -> None:
        """Count an event of the run."""
        if event.step is Step.FILES:
            self.files_total = event.count
        elif event.step is Step.FILE:
            self.files += 1
        elif event.step is Step.TOTAL:
            self.chunks_total = event.count
        elif event.step is Step.REUSED:
            self.chunks += event.count
        elif event.step is Step.EMBEDDED:
            if not self._samples:  # loading the model says nothing about the rest
                self._samples.append((time.monotonic(), self.chunks))
            self.chunks += event.count

    def is_due(self) -> bool:
        """Tell whether a heartbeat is due; the next one is a second later."""
        now = time.monotonic()
        if now < self._due:
            return False
        self._due = now + _SECONDS
        if self._samples:
            self._samples.append((now, self.chunks))
        return True

    def facts(self) -> dict[str, float | None]:
        """Return the facts of a heartbeat (docs/json.md)."""
        rate = self._rate()
        left = max(0, self.chunks_total - self.chunks)
        return {
            "files": self.files,
            "files_total": self.files_total,
            "chunks": self.chunks,
            "chunks_total": max(self.chunks, self.chunks_total),
            "chunks_per_second": round(rate, 1),
            "seconds_left": round(left / rate) if rate else None,
        }

    def _rate(self) -> float:
        """Return the chunks per second over the last heartbeats; 0 until a second has passed."""
        if not self._samples:
            return 0.0
        (begin, before), (end, after) = self._samples[0], self._samples[-1]
        # The first heartbeat may come right after the first vectors, and tells nothing yet.
        return (after - before) / (end - begin) if end - begin >= _SECONDS else 0.0
