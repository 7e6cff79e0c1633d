"""What a run would do, found out by doing all of it that costs nothing and writes nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from localembed.pipeline.counters import RunCounters
from localembed.pipeline.ingest import Ingested, ingest
from localembed.pipeline.run import Job, to_be_read, windows, workers_of
from localembed.pipeline.stage_threads import CancelToken, overlap
from localembed.store.head import read_head
from localembed.store.lance.connection import newest_version
from localembed.store.manifest import Manifest
from localembed.types.documents import Chunk
from localembed.types.models import ModelInput
from localembed.types.runs import Estimate, Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from localembed.types.arrays import Vector


def estimate(job: Job, count: Callable[[Sequence[ModelInput]], int], on_event: Event) -> Estimate:
    """Read, cut and look up as a run would, and nothing else.

    Args:
        job: what the run would do.
        count: how many requests texts take.
        on_event: told of progress, as for a run.
    """
    counters = RunCounters()
    manifest = Manifest(job.layout)
    records = manifest.load(job.facts.name)[0] if job.layout.manifest.exists() else {}
    plan = to_be_read(job, records, counters)
    on_event("files", len(plan.to_read))
    look_up = _look_up(job)
    chunks = tokens = requests = 0
    seen: set[bytes] = set()

    def look(window: Sequence[Ingested]) -> None:
        nonlocal chunks, tokens, requests
        found = {chunk.chunk_hash: chunk for chunk in _chunks(window)}
        chunks += sum(1 for _ in _chunks(window))
        stored = look_up([key for key in found if key not in seen])
        missing = [c for key, c in found.items() if key not in seen and key not in stored]
        seen.update(chunk.chunk_hash for chunk in missing)
        tokens += sum(len(chunk.token_ids) for chunk in missing)
        requests += count([ModelInput(chunk.model_text, chunk.token_ids) for chunk in missing])

    stop = CancelToken()
    with workers_of(job, plan, stop) as workers:
        upcoming = windows(ingest(plan, records, workers, counters), on_event)
        overlap(upcoming, look, lambda _: None, stop)
    return Estimate(len(plan.to_read), chunks, chunks - len(seen), len(seen), tokens, requests)


def _chunks(window: Sequence[Ingested]) -> list[Chunk]:
    return [chunk for entry in window if entry.chunked for chunk in entry.chunked.chunks]


def _look_up(job: Job) -> Callable[[Collection[bytes]], dict[bytes, Vector]]:
    """Return what finds stored vectors; without a table nothing is stored."""
    head = read_head(job.layout)
    exists = newest_version(job.layout.table(job.facts.name)) > 0
    if not exists and not head.tables:
        return lambda _keys: {}
    from localembed.pipeline.stored_vectors import StoredVectors
    from localembed.store.lance.table import ChunkTable

    table = ChunkTable.open(job.layout, job.facts.name) if exists else None
    return StoredVectors(job.layout, job.facts, head, table).look_up
