"""Counters of a run, in one place, so that every input and every chunk is accounted for.

The stages run in several threads; all of them count and announce their steps here, under a lock.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, Literal

from localembed.core.text import counted
from localembed.types.documents import DEFAULT_CATEGORIES
from localembed.types.events import EventListener, RunEvent, Step, ignore_event
from localembed.types.runs import ChunkCounts, FileCounts, RunReport, TokenCounts

if TYPE_CHECKING:
    from localembed.pipeline.plan import Plan
    from localembed.types.documents import EncodingNote, Note
    from localembed.types.listing import ListedFile
    from localembed.types.models import EngineUse

Counted = Literal[
    "added", "changed", "renamed", "unchanged", "removed", "bytes", "truncated",
    "embedded", "reused", "removed_chunks", "tokens",
    "begun", "kept", "bytes_planned", "bytes_walked", "chunked",
]  # fmt: skip

_SIDES = {
    "read": ("read", "chunk"),
    "load": ("open store", "load model"),
    "embed": ("reuse", "embed"),
    "write": ("write",),
}
"""What a run spends its time on, side by side but for loading, with the stages of each."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast the last window got its vectors."""

    tokens: float
    """Tokens per second."""
    reuses: bool
    """Whether most of its vectors were reused."""


@dataclass(slots=True)
class RunCounters:
    """The running sums of one run, and the listeners for its steps."""

    listener: EventListener = ignore_event
    """Listener for steps, called by one thread at a time."""
    _more: list[EventListener] = field(default_factory=list)
    _speed: Speed | None = None
    _started: float = field(default_factory=time.perf_counter)
    _sums: dict[Counted, int] = field(default_factory=lambda: defaultdict(int))
    _stages: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _plan: Plan | None = None
    _skipped: list[Note] = field(default_factory=list)
    _left_out: list[Note] = field(default_factory=list)
    _failures: list[Note] = field(default_factory=list)
    _failed_chunks: list[Note] = field(default_factory=list)
    _encodings: list[EncodingNote] = field(default_factory=list)
    _engine: EngineUse | None = None
    _overlapped: float = 0.0
    """Seconds in which reading, embedding and writing ran at the same time."""
    _inside: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Stage → number of threads in it, and when the first of them entered."""
    _lock: Lock = field(default_factory=Lock)
    _emitting: Lock = field(default_factory=Lock)

    def emit(self, step: Step, count: int) -> None:
        """Announce a step to the listener."""
        event = RunEvent(step, count)
        with self._emitting:
            for listener in (self.listener, *self._more):
                listener(event)

    def listen(self, listener: EventListener) -> None:
        """Announce each step to one more listener."""
        self._more.append(listener)

    def add(self, name: Counted, count: int = 1) -> None:
        """Add to one of the sums."""
        with self._lock:
            self._sums[name] += count

    def skip(self, note: Note, *, left_out: bool = False) -> None:
        """Count an input that a rule excluded; `left_out` if it was indexed until now."""
        with self._lock:
            self._skipped.append(note)
            self._left_out += [note] * left_out

    def leave_out(self, indexed: Collection[bytes]) -> None:
        """Count files that the default rules skip, of those that were indexed until now.

        Args:
            indexed: their absolute paths.
        """
        with self._lock:
            skipped = {n.path: n for n in self._skipped if n.category in DEFAULT_CATEGORIES}
            for path in indexed if skipped else ():
                note = next((skipped[at] for at in _with_folders(path) if at in skipped), None)
                self._left_out += [replace(note, path=path)] if note else []

    def fail(self, note: Note) -> None:
        """Count an input that could not be read."""
        with self._lock:
            self._failures.append(note)

    def fail_chunks(self, notes: Sequence[Note]) -> None:
        """Count chunks that have no vector, one note each."""
        with self._lock:
            self._failed_chunks += notes

    def note_encoding(self, note: EncodingNote) -> None:
        """Name a file that is not plain UTF-8."""
        with self._lock:
            self._encodings.append(note)

    def use_plan(self, plan: Plan) -> None:
        """Count the files that the plan already decided about."""
        with self._lock:
            self._plan = plan
            self._sums["bytes_planned"] = plan.size
            self._sums["unchanged"] += plan.unchanged
            self._sums["removed"] += sum(1 for record in plan.removed if record.n_chunks)
            self._skipped += plan.skipped
            self._left_out += plan.left_out
            self._failures += plan.failures

    def use_engine(self, use: EngineUse | None) -> None:
        """Set the engine that embedded; None if there was nothing to embed."""
        with self._lock:
            self._engine = use

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent inside to a stage; concurrent threads count once."""
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
                    self._stages[name] += time.perf_counter() - begin

    def add_seconds(self, stage: str, seconds: float) -> None:
        """Add time that was measured elsewhere to a stage."""
        with self._lock:
            self._stages[stage] += seconds

    @contextmanager
    def overlapping(self) -> Iterator[None]:
        """Measure the part in which the stages overlap."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                self._overlapped += time.perf_counter() - begin

    def elapsed(self) -> float:
        """Return the seconds since the run began."""
        return time.perf_counter() - self._started

    def read_file(self, size: int, chunks: int) -> None:
        """Count a file that was read and chunked, and announce how many chunks there may be.

        Args:
            size: bytes of the file.
            chunks: number of its chunks.
        """
        with self._lock:
            sums = self._sums
            sums["bytes_walked"] += size
            sums["chunked"] += chunks
            total = round(sums["chunked"] * sums["bytes_planned"] / max(1, sums["bytes_walked"]))
        self.emit(Step.FILE, 1)
        self.emit(Step.CHUNKED, chunks)
        self.emit(Step.TOTAL, total)

    def measure_speed(self, tokens: int, seconds: float, *, reuses: bool) -> None:
        """Record how fast a window got its vectors; `reuses` if most of them were reused."""
        with self._lock:
            self._speed = Speed(tokens / max(seconds, 1e-6), reuses)

    def speed(self) -> Speed | None:
        """Return the speed of the last window; None before the first."""
        with self._lock:
            return self._speed

    def kept(self) -> str:
        """Return what a run keeps that ends early, and how to continue."""
        with self._lock:
            begun, kept = self._sums["begun"], self._sums["kept"]
        again = "run the same command again to continue."
        if not begun:
            return f"This run has embedded nothing yet; {again}"
        number = "All" if kept >= begun else f"{kept:,} of"
        return f"{number} {counted(begun, 'chunk')} embedded by this run are kept; {again}"

    def waits_for_chunks(self, ratio: float) -> bool:
        """Tell whether chunking takes more than `ratio` times as long as embedding.

        That is unknown, so False, before the first vectors; a ratio of 0 always gives True.
        """
        with self._lock:
            begun = self._sums["embedded"] + self._sums["reused"] > 0
            slower = self._stages.get("chunk", 0.0) > ratio * self._stages.get("embed", 0.0)
            return not ratio or (begun and slower)

    def busy(self) -> dict[str, float]:
        """Return the share of the overlapped time in which each side had work."""
        if not self._overlapped:
            return {}
        seconds = {
            side: sum(self._stages.get(name, 0.0) for name in names)
            for side, names in _SIDES.items()
        }
        return {side: min(1.0, spent / self._overlapped) for side, spent in seconds.items()}

    def report(
        self,
        *,
        run: int | None,
        version: int | None,
        model: str,
        total: int,
        largest: tuple[ListedFile, ...] = (),
    ) -> RunReport:
        """Return the sums as a report."""
        sums, plan = self._sums, self._plan
        seen = 0
        if plan is not None:
            seen = len(plan.to_read) + plan.unchanged + len(plan.skipped) + len(plan.failures)
        return RunReport(
            run=run,
            version=version,
            model=model,
            changed=run is not None,
            files=FileCounts(
                seen=seen,
                added=sums["added"],
                changed=sums["changed"],
                removed=sums["removed"],
                renamed=sums["renamed"],
                unchanged=sums["unchanged"],
                skipped=len(self._skipped),
                failed=len(self._failures),
            ),
            chunks=ChunkCounts(
                total=total,
                embedded=sums["embedded"],
                reused=sums["reused"],
                removed=sums["removed_chunks"],
                failed=len(self._failed_chunks),
            ),
            tokens=TokenCounts(sums["tokens"], sums["truncated"]),
            bytes=sums["bytes"],
            seconds=self.elapsed(),
            stages=dict(self._stages),
            busy=self.busy(),
            engine=self._engine,
            skipped=tuple(self._skipped),
            failures=(*self._failures, *self._failed_chunks),
            encodings=tuple(self._encodings),
            refused=plan.refused if plan else (),
            left_out=tuple(sorted(self._left_out, key=lambda note: note.path)),
            largest=largest,
        )


def _with_folders(path: bytes) -> Iterator[bytes]:
    """Yield a path, then each folder above it as notes name folders: with a slash at the end."""
    yield path
    while b"/" in (path := path.rpartition(b"/")[0]):
        yield path + b"/"
