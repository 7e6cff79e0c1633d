"""One run: sources → plan → readers → chunking → embedding → store."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from localembed.errors import LocalembedError, WorkspaceError
from localembed.pipeline.counters import RunCounters
from localembed.pipeline.ingest import NO_STAT
from localembed.pipeline.largest import largest_files
from localembed.pipeline.plan import Plan, make_plan
from localembed.pipeline.recover import recover
from localembed.sources import WalkRules, walk
from localembed.store import runs
from localembed.store.head import read_head
from localembed.store.layout import Layout
from localembed.store.missing_files import read_missing, write_missing
from localembed.store.root_documents import records_of
from localembed.types.documents import FileRecord, Root
from localembed.types.events import EventListener, Step
from localembed.types.json_forms import report_json
from localembed.types.limits import DEFAULT_LIMITS, Limits
from localembed.types.runs import RunReport
from localembed.types.tables import TableFacts, TableHead

if TYPE_CHECKING:
    from localembed.pipeline.chunk_workers import ChunkerLoader
    from localembed.pipeline.commit import TableWriter
    from localembed.pipeline.stages import EmbedderLoader, RowWriter
    from localembed.pipeline.windows import Window
    from localembed.store.pending_vectors import PendingVectors

_NO_ROOTS: Mapping[str, bytes] = {}


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
    pending: PendingVectors
    """Vectors that are not in a table yet."""
    limits: Limits
    becomes_default: bool
    """Whether readers are switched to this table once it is complete."""
    covers_all: bool
    """Whether the scopes cover all roots, so that a new table is complete afterwards."""
    walks_all: bool
    """Whether they cover all roots, whether the table is new or not."""
    forgotten_roots: frozenset[str] = frozenset()
    """Ids of removed roots, whose documents are deleted."""
    retry_failed: bool = False
    """Whether to embed failed chunks again."""
    verify: bool = False
    allow_mass_delete: bool = False
    root_paths: Mapping[str, bytes] = field(default_factory=dict)
    """root_id → absolute path of every root, to name files in the report."""
    keep_versions: int = 10
    commit_seconds: float = 15
    """Planned seconds of embedding per commit."""


def run(job: Job, listener: EventListener) -> RunReport:
    """Bring a table up to date with the files, and publish it. The caller holds the writer lock.

    Args:
        job: the run.
        listener: called for each step (see `types.events.Step`), by one thread at a time.

    Raises:
        LocalembedError: the run failed; its commits are kept, and the next run continues.
        KeyboardInterrupt: the same, with a note of how much was embedded and is kept.
    """
    counters = RunCounters(listener)
    try:
        return _run(job, counters)
    except BaseException as error:
        error.add_note(counters.kept())
        raise


def _run(job: Job, counters: RunCounters) -> RunReport:
    with counters.stage("recover"):
        records = recover(job.layout, job.facts, counters)
    if job.retry_failed:
        records = {doc_id: _to_retry(record) for doc_id, record in records.items()}
    plan = plan_run(job, records, counters)
    if plan.missing != read_missing(job.layout, job.facts.name):
        write_missing(job.layout, job.facts.name, plan.missing)
    counters.use_plan(plan)
    with _writer(job.layout, job.facts, records, counters, job.pending, job.limits) as writer:
        counters.emit(Step.FILES, len(plan.to_read))
        try:
            if plan.to_read:
                _index_files(job, plan, records, writer, counters)
        except LocalembedError as error:
            published = job.facts.name in read_head(job.layout).tables
            if published and not isinstance(error, WorkspaceError):
                # What is gone from the disk leaves the answers, even if nothing can be embedded.
                writer.remove(plan.removed)
                writer.finish(complete=False, default=False, keep=job.keep_versions)
            raise
        writer.remove(plan.removed)
        if not records:
            counters.leave_out(_replaced_files(job))
        complete = job.covers_all and not plan.refused
        writer.finish(
            complete=complete,
            default=job.becomes_default,
            keep=job.keep_versions,
            drop_pending=job.walks_all and not plan.refused,
        )
    return _report(job.layout, job.facts, writer, counters, job.root_paths)


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
        # They may belong to what was removed: that is to be gone.
        writer.finish(complete=False, default=False, keep=keep_versions, drop_pending=True)
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
        plan = make_plan(
            walks,
            records,
            missing=read_missing(job.layout, job.facts.name),
            now_ns=time.time_ns(),
            verify=job.verify,
            allow_mass_delete=job.allow_mass_delete,
        )
        orphans = [r for r in records.values() if r.root_id in job.forgotten_roots]
        return replace(plan, removed=(*plan.removed, *orphans)) if orphans else plan


def _replaced_files(job: Job) -> set[bytes]:
    """Return the absolute paths of the files in the table that this one replaces, if it does."""
    default = read_head(job.layout).default
    if not job.becomes_default or default in (None, job.facts.name):
        return set()
    return {
        os.path.join(job.root_paths[record.root_id], record.path).rstrip(b"/")  # noqa: PTH118
        for record in records_of(job.layout, default)
        if record.n_chunks and record.root_id in job.root_paths
    }


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
    pending: PendingVectors | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> TableWriter:
    from localembed.pipeline.commit import TableWriter
    from localembed.pipeline.publish import Publisher
    from localembed.store.pending_vectors import PendingVectors

    publisher = Publisher(layout, facts, records, counters)
    pending = pending or PendingVectors(layout, facts.space_id, facts.dim)
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
    from localembed.pipeline.stages import RunModel, Stages
    from localembed.pipeline.timed_embedding import TimedEmbedding
    from localembed.pipeline.windows import CommitTimes, windows

    token = CancelToken()
    at_once = job.embedder.windows_in_flight
    seconds = job.commit_seconds if at_once == 1 else 0.0
    model = RunModel(job.embedder, plan.size)
    token.on_cancel(model.close)
    token.on_cancel(partial(counters.emit, Step.ENDING, 0))
    embedding = TimedEmbedding(model, writer, job.facts, seconds, token, counters)
    stages = Stages(writer, job.facts, embedding, counters)
    try:
        size = plan.size if at_once == 1 else 0  # a remote model never waits for chunks
        with (
            ChunkWorkers(job.chunker, size, token, counters, job.limits) as workers,
            counters.overlapping(),
        ):
            times = CommitTimes(job.limits, counters, seconds)
            entries = ingest(plan, records, workers, counters)
            run_stages(
                _until_end(windows(entries, times, counters), writer), stages, token, at_once
            )
        if model.problem is not None:
            raise model.problem
    finally:
        counters.use_engine(model.use)
        model.close()


def _until_end(windows: Iterator[Window], writer: RowWriter) -> Iterator[Window]:
    """Yield all windows; after the last one is read, let the writer prepare for the end."""
    yield from windows
    writer.expect_end()


def _report(
    layout: Layout,
    facts: TableFacts,
    writer: TableWriter,
    counters: RunCounters,
    roots: Mapping[str, bytes] = _NO_ROOTS,
) -> RunReport:
    """Return the report, and write it into `runs/` if the run wrote anything."""
    entry = read_head(layout).tables.get(facts.name)
    report = counters.report(
        run=writer.run,
        version=entry.run if entry else None,
        model=facts.model,
        total=entry.chunks if entry else 0,
        largest=largest_files(layout, facts.name, entry, roots) if entry and writer.run else (),
    )
    if writer.run is not None:
        runs.finish_run(layout, writer.run, facts.name, report_json(report))
    return report
