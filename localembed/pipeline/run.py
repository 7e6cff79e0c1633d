"""One run: sources → plan → readers → chunking → embedding → store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from localembed.pipeline.counters import RunCounters
from localembed.pipeline.ingest import NO_STAT
from localembed.pipeline.plan import Plan, make_plan
from localembed.pipeline.recover import recover
from localembed.sources import WalkRules, walk
from localembed.store import runs
from localembed.store.head import read_head
from localembed.store.layout import Layout
from localembed.types.documents import FileRecord, Root
from localembed.types.events import EventListener, Step
from localembed.types.json_forms import report_json
from localembed.types.limits import DEFAULT_LIMITS, Limits
from localembed.types.runs import RunReport
from localembed.types.tables import TableFacts, TableHead

if TYPE_CHECKING:
    from localembed.pipeline.chunk_workers import ChunkerLoader
    from localembed.pipeline.commit import TableWriter
    from localembed.pipeline.ingest import Ingested
    from localembed.pipeline.stages import EmbedderLoader, RowWriter
    from localembed.store.pending_answers import PendingAnswers

    Window = list[Ingested]


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that one run needs: plain values, and loaders for what is expensive to load."""

    layout: Layout
    facts: TableFacts
    scopes: tuple[tuple[Root, bytes], ...]
    """Roots, each with the relative path to index; empty for the whole root."""
    rules: WalkRules
    chunker: ChunkerLoader
    embedder: EmbedderLoader
    pending: PendingAnswers
    """Answers of a remote model that are not in a table yet."""
    limits: Limits
    becomes_default: bool
    """Whether readers are switched to this table once it is complete."""
    covers_all: bool
    """Whether the scopes cover all roots, so that a new table is complete afterwards."""
    forgotten_roots: frozenset[str] = frozenset()
    """Ids of removed roots, whose documents are deleted."""
    retry_failed: bool = False
    """Whether to embed failed chunks again."""
    verify: bool = False
    allow_mass_delete: bool = False
    keep_versions: int = 10


def run(job: Job, listener: EventListener) -> RunReport:
    """Bring a table up to date with the files, and publish it. The caller holds the writer lock.

    Args:
        job: the run.
        listener: called for each step (see `types.events.Step`), by one thread at a time.

    Raises:
        LocalembedError: the run failed; its commits are kept, and the next run continues.
    """
    counters = RunCounters(listener)
    with counters.stage("recover"):
        records = recover(job.layout, job.facts, counters)
    if job.retry_failed:
        records = {doc_id: _to_retry(record) for doc_id, record in records.items()}
    plan = plan_run(job, records, counters)
    counters.use_plan(plan)
    counters.emit(Step.FILES, len(plan.to_read))
    with _writer(job.layout, job.facts, records, counters, job.pending, job.limits) as writer:
        if plan.to_read:
            _index_files(job, plan, records, writer, counters)
        writer.remove(plan.removed)
        complete = job.covers_all and not plan.refused
        writer.finish(complete=complete, default=job.becomes_default, keep=job.keep_versions)
    return _report(job.layout, job.facts, writer, counters)


def remove_documents(
    layout: Layout,
    facts: TableFacts,
    should_remove: Callable[[FileRecord], bool],
    keep_versions: int,
    listener: EventListener,
) -> RunReport:
    """Remove documents from a table and publish it. The caller holds the writer lock."""
    counters = RunCounters(listener)
    records = recover(layout, facts, counters)
    removed = [record for record in records.values() if should_remove(record)]
    counters.add("removed", sum(1 for record in removed if record.n_chunks))
    with _writer(layout, facts, records, counters) as writer:
        writer.remove(removed)
        writer.finish(complete=False, default=False, keep=keep_versions)
    return _report(layout, facts, writer, counters)


def restore(layout: Layout, facts: TableFacts, version: TableHead, keep_versions: int) -> RunReport:
    """Restore an older version as a new run. The caller holds the writer lock."""
    counters = RunCounters()
    records = recover(layout, facts, counters)
    with _writer(layout, facts, records, counters) as writer:
        writer.restore(version)
        writer.finish(complete=version.complete, default=True, keep=keep_versions)
    return _report(layout, facts, writer, counters)


def plan_run(job: Job, records: Mapping[bytes, FileRecord], counters: RunCounters) -> Plan:
    """Walk the scopes, and return their differences from the manifest's records."""
    with counters.stage("walk"):
        walks = [walk(root, job.rules, scope) for root, scope in job.scopes]
    with counters.stage("plan"):
        plan = make_plan(walks, records, verify=job.verify, allow_mass_delete=job.allow_mass_delete)
        orphans = [r for r in records.values() if r.root_id in job.forgotten_roots]
        return replace(plan, removed=(*plan.removed, *orphans)) if orphans else plan


def _to_retry(record: FileRecord) -> FileRecord:
    """Return a record; if the document lacks vectors, changed so that it is read again."""
    if record.state != "partial":
        return record
    return replace(record, stat=NO_STAT, content_hash=b"")


def _writer(
    layout: Layout,
    facts: TableFacts,
    records: Mapping[bytes, FileRecord],
    counters: RunCounters,
    pending: PendingAnswers | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> TableWriter:
    from localembed.pipeline.commit import TableWriter
    from localembed.pipeline.publish import Publisher
    from localembed.store.pending_answers import PendingAnswers

    publisher = Publisher(layout, facts, records, counters)
    pending = pending or PendingAnswers(layout, facts.space_id, facts.dim)
    return TableWriter(layout, facts, publisher, pending, counters, limits)


def _index_files(
    job: Job,
    plan: Plan,
    records: Mapping[bytes, FileRecord],
    writer: RowWriter,
    counters: RunCounters,
) -> None:
    """Read and chunk, embed and write, window by window, all three at the same time."""
    from localembed.core.cancellation import CancelToken
    from localembed.pipeline.chunk_workers import ChunkWorkers
    from localembed.pipeline.ingest import ingest
    from localembed.pipeline.stage_threads import run_stages
    from localembed.pipeline.stages import Stages

    token = CancelToken()
    at_once = job.embedder.windows_in_flight
    stages = Stages(writer, job.facts.dim, job.embedder, plan.size, counters)
    token.on_cancel(stages.close)
    try:
        size = plan.size if at_once == 1 else 0  # a remote model never waits for chunks
        with (
            ChunkWorkers(job.chunker, size, token, counters, job.limits) as workers,
            counters.overlapping(),
        ):
            sizes = WindowSizes(job.limits, counters, may_grow=at_once == 1)
            entries = ingest(plan, records, workers, counters)
            run_stages(
                _until_end(windows(entries, sizes, counters), writer), stages, token, at_once
            )
    finally:
        counters.use_engine(stages.use)
        stages.close()


def _until_end(windows: Iterator[Window], writer: RowWriter) -> Iterator[Window]:
    """Yield all windows; after the last one is read, let the writer prepare for the end."""
    yield from windows
    writer.expect_end()


@dataclass(frozen=True, slots=True)
class WindowSizes:
    """Size of windows, in chunks: larger if embedding is faster than committing."""

    limits: Limits
    counters: RunCounters
    may_grow: bool

    @property
    def chunks(self) -> int:
        """Minimum chunks of the next window, by the speed of embedding so far."""
        minimum = self.limits.batch_chunks
        if not self.may_grow:
            return minimum
        # Reused vectors do not count: they say nothing about the model's speed.
        affordable = int(self.limits.large_batch_seconds * self.counters.embedding_rate())
        return max(minimum, min(self.limits.large_batch_chunks, affordable))

    def is_full(self, chunks: int, size: int, enough: int) -> bool:
        """Tell whether a window with this many chunks, from files of `size` bytes, is full."""
        large = chunks >= self.limits.batch_chunks and size >= self.limits.large_batch_bytes
        return chunks >= enough or large


def windows(
    entries: Iterator[Ingested], sizes: WindowSizes, counters: RunCounters
) -> Iterator[Window]:
    """Gather whole documents until their chunks fill a batch.

    Args:
        entries: outcomes of files.
        sizes: when a window is full.
        counters: announce each file and its chunks.
    """
    window: list[Ingested] = []
    chunks, size, enough = 0, 0, sizes.chunks
    for entry in entries:
        counters.emit(Step.FILE, 1)
        window.append(entry)
        found = len(entry.chunked.chunks) if entry.chunked else 0
        chunks += found
        size += entry.file.stat.size if found else 0
        counters.emit(Step.CHUNKED, found)
        if sizes.is_full(chunks, size, enough):
            yield window
            window, chunks, size, enough = [], 0, 0, sizes.chunks
    if window:
        yield window


def _report(
    layout: Layout, facts: TableFacts, writer: TableWriter, counters: RunCounters
) -> RunReport:
    """Return the report, and write it into `runs/` if the run wrote anything."""
    entry = read_head(layout).tables.get(facts.name)
    report = counters.report(
        run=writer.run,
        version=entry.run if entry else None,
        model=facts.model,
        total=entry.chunks if entry else 0,
    )
    if writer.run is not None:
        runs.finish_run(layout, writer.run, facts.name, report_json(report))
    return report
