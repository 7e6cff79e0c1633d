"""Estimate a run by doing all of it that neither costs nor writes anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from localembed.core.cancellation import CancelToken
from localembed.pipeline.chunk_workers import ChunkWorkers
from localembed.pipeline.counters import RunCounters
from localembed.pipeline.ingest import Ingested, ingest
from localembed.pipeline.run import Job, plan_run
from localembed.pipeline.stage_threads import run_stages
from localembed.pipeline.windows import CommitTimes, windows
from localembed.store.head import read_head
from localembed.store.lance.disk_names import newest_version
from localembed.store.manifest import Manifest
from localembed.types.events import EventListener, Step
from localembed.types.models import ModelInput
from localembed.types.runs import Estimate

if TYPE_CHECKING:
    from localembed.pipeline.stored_vectors import StoredVectors


class RequestCounter(Protocol):
    """Counts the requests that texts take."""

    def count_requests(self, inputs: Sequence[ModelInput], /) -> int:
        """Return the number of requests to a remote model; 0 for a local one."""


def estimate(job: Job, backend: RequestCounter, listener: EventListener) -> Estimate:
    """Read files, chunk them and look up vectors as a run would, and nothing else.

    Args:
        job: the run.
        backend: counts requests.
        listener: called for each step, as in a run.
    """
    counters = RunCounters(listener)
    manifest = Manifest(job.layout)
    records = manifest.load(job.facts.name)[0] if job.layout.manifest.exists() else {}
    plan = plan_run(job, records, counters)
    counters.emit(Step.FILES, len(plan.to_read))
    token = CancelToken()
    stages = _CountingStages(_stored_vectors(job), backend)
    with ChunkWorkers(job.chunker, plan.size, token, counters, job.limits) as workers:
        times = CommitTimes(job.limits, counters, seconds=0)
        entries = ingest(plan, records, workers, counters)
        run_stages(windows(entries, times, counters), stages, token)
    return stages.estimate(len(plan.to_read))


class _CountingStages:
    """Looks up the chunks of windows, instead of embedding and writing them."""

    def __init__(self, stored: StoredVectors | None, backend: RequestCounter) -> None:
        self._stored = stored
        self._backend = backend
        self._seen: set[bytes] = set()
        self._chunks = self._tokens = self._requests = 0

    def embed(self, window: Sequence[Ingested], /) -> None:
        """Count the chunks that have no stored vector."""
        chunks = [chunk for entry in window if entry.chunked for chunk in entry.chunked.chunks]
        new = {c.chunk_hash: c for c in chunks if c.chunk_hash not in self._seen}
        stored = self._stored.look_up(new) if self._stored else {}
        missing = [chunk for key, chunk in new.items() if key not in stored]
        self._seen.update(chunk.chunk_hash for chunk in missing)
        self._chunks += len(chunks)
        self._tokens += sum(len(chunk.token_ids) for chunk in missing)
        inputs = [ModelInput(chunk.model_text, chunk.token_ids) for chunk in missing]
        self._requests += self._backend.count_requests(inputs)

    def write(self, _nothing: None, /) -> None:
        """Write nothing."""

    def estimate(self, files: int) -> Estimate:
        """Return the sums."""
        embedded = len(self._seen)
        reused = self._chunks - embedded
        return Estimate(files, self._chunks, reused, embedded, self._tokens, self._requests)


def _stored_vectors(job: Job) -> StoredVectors | None:
    """Return the stored vectors; None if there is no table."""
    head = read_head(job.layout)
    exists = newest_version(job.layout.table(job.facts.name)) > 0
    if not exists and not head.tables:
        return None
    from localembed.pipeline.stored_vectors import StoredVectors
    from localembed.store.lance.table import ChunkTable

    table = ChunkTable.open(job.layout, job.facts.name) if exists else None
    return StoredVectors(job.layout, job.facts, head, table, job.pending)
