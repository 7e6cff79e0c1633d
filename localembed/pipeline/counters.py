"""Counting what a run does, so that every input and every chunk is accounted for."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

from localembed.pipeline.plan import Plan
from localembed.types.documents import Note
from localembed.types.models import EngineUse
from localembed.types.runs import ChunkCounts, FileCounts, RunReport, TokenCounts

_SIDES = {
    "read": ("read", "chunk"),
    "embed": ("open store", "reuse", "load model", "embed"),
    "write": ("write",),
}
"""What goes on at the same time, and the stages that each is made of."""


@dataclass(slots=True)
class RunCounters:
    """The running sums of one run."""

    started: float = field(default_factory=time.perf_counter)
    stages: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    seen: int = 0
    to_read: int = 0
    added: int = 0
    changed: int = 0
    renamed: int = 0
    unchanged: int = 0
    removed: int = 0
    skipped: list[Note] = field(default_factory=list)
    failures: list[Note] = field(default_factory=list)
    refused: tuple[str, ...] = ()
    bytes: int = 0
    embedded: int = 0
    reused: int = 0
    failed_chunks: list[Note] = field(default_factory=list)
    removed_chunks: int = 0
    tokens: int = 0
    truncated: int = 0
    engine: EngineUse | None = None
    overlapped: float = 0.0
    """Seconds in which reading, embedding and writing went on at the same time."""
    _inside: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Stage → how many threads are in it, and since when the first is."""
    _lock: Lock = field(default_factory=Lock)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent inside to a stage; of several threads at once it counts once."""
        with self._lock:
            threads, begin = self._inside.get(name, (0, time.perf_counter()))
            self._inside[name] = (threads + 1, begin)
        try:
            yield
        finally:
            with self._lock:
                threads, begin = self._inside.pop(name)
                if threads > 1:
                    self._inside[name] = (threads - 1, begin)
                else:
                    self.stages[name] += time.perf_counter() - begin

    def count_chunks(self, *, embedded: int = 0, reused: int = 0, tokens: int = 0) -> None:
        """Add what a window's chunks came to; several windows may be embedded at once."""
        with self._lock:
            self.embedded += embedded
            self.reused += reused
            self.tokens += tokens

    @contextmanager
    def overlapping(self) -> Iterator[None]:
        """Take the time of the part whose stages overlap."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.overlapped += time.perf_counter() - begin

    def busy(self) -> dict[str, float]:
        """Return the share of that time that each of the three had work."""
        if not self.overlapped:
            return {}
        seconds = {
            side: sum(self.stages.get(name, 0.0) for name in names)
            for side, names in _SIDES.items()
        }
        return {side: min(1.0, spent / self.overlapped) for side, spent in seconds.items()}

    def take_plan(self, plan: Plan) -> None:
        """Count what the plan already knows."""
        self.seen = len(plan.to_read) + plan.unchanged + len(plan.skipped) + len(plan.failures)
        self.to_read = len(plan.to_read)
        self.unchanged = plan.unchanged
        self.removed = sum(1 for record in plan.removed if record.n_chunks)
        self.skipped = list(plan.skipped)
        self.failures = list(plan.failures)
        self.refused = plan.refused

    def report(self, *, run: int | None, version: int | None, model: str, total: int) -> RunReport:
        """Return the sums as a report."""
        return RunReport(
            run=run,
            version=version,
            model=model,
            changed=run is not None,
            files=FileCounts(
                seen=self.seen,
                added=self.added,
                changed=self.changed,
                removed=self.removed,
                renamed=self.renamed,
                unchanged=self.unchanged,
                skipped=len(self.skipped),
                failed=len(self.failures),
            ),
            chunks=ChunkCounts(
                total=total,
                embedded=self.embedded,
                reused=self.reused,
                removed=self.removed_chunks,
                failed=len(self.failed_chunks),
            ),
            tokens=TokenCounts(self.tokens, self.truncated),
            bytes=self.bytes,
            seconds=time.perf_counter() - self.started,
            stages=dict(self.stages),
            busy=self.busy(),
            engine=self.engine,
            skipped=tuple(self.skipped),
            failures=(*self.failures, *self.failed_chunks),
            refused=self.refused,
        )
