"""The recipe: sources → plan → readers → clean → chunk → embedding → store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
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
from localembed.types.json_forms import report_json
from localembed.types.models import Embedder
from localembed.types.runs import Event, RunReport
from localembed.types.tables import TableFacts, TableHead

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from localembed.pipeline.chunk_workers import ChunkWorkers, LoadChunker
    from localembed.pipeline.commit import Committer
    from localembed.pipeline.ingest import Ingested
    from localembed.pipeline.stage_threads import CancelToken
    from localembed.types.arrays import VectorMatrix

    Window = list[Ingested]
    SaveAnswers = Callable[[Sequence[bytes], VectorMatrix], None]

BATCH_CHUNKS = 2048
"""Committed at once: what a kill can cost, and the window that is sorted by length."""
LARGE_BATCH_CHUNKS, LARGE_BATCH_BYTES = 8192, 3 << 20
"""The same at most, and of files, where embedding is so fast that committing would take longer."""
_CHEAP_SECONDS = 2.0
"""Of embedding: what a kill may cost there."""
_WINDOWS_OF_SERVER = 2
"""While one waits for its slowest answer, the other is asked for."""


@dataclass(frozen=True, slots=True)
class Job:
    """Everything one run needs, as plain values and callables that load what is heavy."""

    layout: Layout
    facts: TableFacts
    scopes: tuple[tuple[Root, bytes], ...]
    """Roots with the part of each to look at, relative; empty for all of it."""
    rules: WalkRules
    load_chunker: LoadChunker
    load_embedder: Callable[[int, SaveAnswers], Embedder]
    """Loads the model, told about how many bytes of text the run will embed at most, and where
    vectors go at once that were paid for."""
    becomes_default: bool
    """Whether readers are switched to this table once it is complete."""
    covers_all: bool
    """Whether the scopes are all there is, so that a new table is complete afterwards."""
    forgotten_roots: frozenset[str] = frozenset()
    """Roots that are no longer known: their documents go."""
    asks_server: bool = False
    """Whether a server embeds: then several windows are asked for at once, and no children cut,
    since nobody waits for that and the memory is promised."""
    retry_failed: bool = False
    """Whether to embed again what got no vector."""
    verify: bool = False
    allow_mass_delete: bool = False
    keep_versions: int = 10


def run(job: Job, on_event: Event) -> RunReport:
    """Bring a table up to date with the files, and publish it. The caller holds the writer lock.

    Args:
        job: what to do.
        on_event: told of each step by name: ("files", to read), ("file", 1), ("chunks", n), and of
            each step of the commit order: claimed, added, deleted, synced, recorded, published,
            compacted, protected, cleaned, finished.

    Raises:
        LocalembedError: what was committed before stays, and the next run goes on from there.
    """
    counters = RunCounters()
    on_event = _one_at_a_time(on_event)
    with counters.stage("recover"):
        records = recover(job.layout, job.facts, on_event)
    if job.retry_failed:
        records = {doc_id: _to_retry(record) for doc_id, record in records.items()}
    plan = to_be_read(job, records, counters)
    counters.take_plan(plan)
    on_event("files", len(plan.to_read))
    return _carry_out(job, plan, records, counters, on_event)


def to_be_read(job: Job, records: Mapping[bytes, FileRecord], counters: RunCounters) -> Plan:
    """Walk the scopes, and return what differs from what is remembered."""
    with counters.stage("walk"):
        walks = [walk(root, job.rules, scope) for root, scope in job.scopes]
    with counters.stage("plan"):
        plan = make_plan(walks, records, verify=job.verify, allow_mass_delete=job.allow_mass_delete)
        orphans = [r for r in records.values() if r.root_id in job.forgotten_roots]
        return replace(plan, removed=(*plan.removed, *orphans)) if orphans else plan


def _to_retry(record: FileRecord) -> FileRecord:
    """Return what is remembered of a document, so that one without all its vectors is cut again."""
    if record.state != "partial":
        return record
    return replace(record, stat=NO_STAT, content_hash=b"")


def remove_documents(
    layout: Layout,
    facts: TableFacts,
    should_remove: Callable[[FileRecord], bool],
    keep_versions: int,
    on_event: Event,
) -> RunReport:
    """Take documents out of a table and publish the rest. The caller holds the writer lock."""
    from localembed.pipeline.commit import Committer

    counters = RunCounters()
    records = recover(layout, facts, on_event)
    removed = [record for record in records.values() if should_remove(record)]
    counters.removed = sum(1 for record in removed if record.n_chunks)
    with Committer(layout, facts, records, counters, on_event) as committer:
        committer.remove(removed)
        committer.finish(complete=False, default=False, keep=keep_versions)
    return _report(layout, facts, committer, counters)


def restore(
    layout: Layout, facts: TableFacts, version: TableHead, keep_versions: int, on_event: Event
) -> RunReport:
    """Make a run whose content is that of an older one. The caller holds the writer lock."""
    from localembed.pipeline.commit import Committer

    counters = RunCounters()
    records = recover(layout, facts, on_event)
    with Committer(layout, facts, records, counters, on_event) as committer:
        committer.restore(version)
        committer.finish(complete=version.complete, default=True, keep=keep_versions)
    return _report(layout, facts, committer, counters)


def _one_at_a_time(on_event: Event) -> Event:
    """Return a listener that the stages may call at the same time."""
    lock = Lock()

    def call(name: str, count: int) -> None:
        with lock:
            on_event(name, count)

    return call


def _carry_out(
    job: Job,
    plan: Plan,
    records: Mapping[bytes, FileRecord],
    counters: RunCounters,
    on_event: Event,
) -> RunReport:
    from localembed.pipeline.commit import Committer

    with Committer(job.layout, job.facts, records, counters, on_event) as committer:
        if plan.to_read:
            _index_files(job, plan, records, committer, counters, on_event)
        committer.remove(plan.removed)
        complete = job.covers_all and not plan.refused
        default = job.becomes_default
        committer.finish(complete=complete, default=default, keep=job.keep_versions)
    return _report(job.layout, job.facts, committer, counters)


def _index_files(
    job: Job,
    plan: Plan,
    records: Mapping[bytes, FileRecord],
    committer: Committer,
    counters: RunCounters,
    on_event: Event,
) -> None:
    """Read and cut, embed, commit: window after window, and all three at the same time."""
    from localembed.pipeline.ingest import ingest
    from localembed.pipeline.stage_threads import CancelToken, overlap
    from localembed.pipeline.stages import Stages

    stop = CancelToken()
    load_embedder = partial(job.load_embedder, plan.size, committer.save_answers)
    stages = Stages(committer, job.facts.dim, load_embedder, counters, on_event)
    stop.on_cancel(stages.close)
    try:
        with workers_of(job, plan, stop) as workers, counters.overlapping():
            most = BATCH_CHUNKS if job.asks_server else LARGE_BATCH_CHUNKS
            size = partial(batch_chunks, most, counters)
            upcoming = windows(ingest(plan, records, workers, counters), on_event, size)
            upcoming = _and_then(upcoming, committer.expect_end)
            at_once = _WINDOWS_OF_SERVER if job.asks_server else 1
            overlap(upcoming, stages.embed, stages.write, stop, at_once)
    finally:
        counters.engine = stages.use
        stages.close()


def _and_then(windows: Iterator[Window], call: Callable[[], None]) -> Iterator[Window]:
    """Yield all windows, then call."""
    yield from windows
    call()


def workers_of(job: Job, plan: Plan, stop: CancelToken) -> AbstractContextManager[ChunkWorkers]:
    """Return what cuts a job's files; see `chunk_workers`."""
    from localembed.pipeline.chunk_workers import chunk_workers

    return chunk_workers(job.load_chunker, 0 if job.asks_server else plan.size, stop)


def batch_chunks(most: int, counters: RunCounters) -> int:
    """Return how many chunks the next batch has at least, by how fast they were embedded so far."""
    # What was found in the store says nothing of the model.
    seconds = counters.stages.get("embed", 0.0)
    cheap = int(_CHEAP_SECONDS * counters.embedded / seconds) if seconds else 0
    return max(BATCH_CHUNKS, min(most, cheap))


def windows(
    entries: Iterator[Ingested], on_event: Event, size: Callable[[], int] = lambda: BATCH_CHUNKS
) -> Iterator[list[Ingested]]:
    """Gather whole documents until their chunks fill a batch.

    Args:
        entries: what became of the files.
        on_event: told of each file, and of what was cut from it.
        size: chunks of a batch; asked before each.
    """
    window: list[Ingested] = []
    chunks, read, enough = 0, 0, size()
    for entry in entries:
        on_event("file", 1)
        window.append(entry)
        found = len(entry.chunked.chunks) if entry.chunked else 0
        chunks += found
        read += entry.file.stat.size if found else 0
        on_event("cut", found)
        if chunks >= enough or (chunks >= BATCH_CHUNKS and read >= LARGE_BATCH_BYTES):
            yield window
            window, chunks, read, enough = [], 0, 0, size()
    if window:
        yield window


def _report(
    layout: Layout, facts: TableFacts, committer: Committer, counters: RunCounters
) -> RunReport:
    """Return the report, and write it into `runs/` if the run made anything."""
    entry = read_head(layout).tables.get(facts.name)
    report = counters.report(
        run=committer.run,
        version=entry.run if entry else None,
        model=facts.model,
        total=entry.chunks if entry else 0,
    )
    if committer.run is not None:
        runs.finish_run(layout, committer.run, facts.name, report_json(report))
    return report
