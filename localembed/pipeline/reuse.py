"""Vectors for a window of chunks: existing ones are reused, the others embedded once each."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from localembed.pipeline.counters import RunCounters
from localembed.pipeline.in_flight import InFlight
from localembed.pipeline.timed_embedding import EmbeddedChunks
from localembed.store.vector_types import unstorable
from localembed.types.documents import Chunk, ChunkedDocument, EmbeddedBatch
from localembed.types.events import Step
from localembed.types.tables import TableFacts

if TYPE_CHECKING:
    from localembed.types.arrays import Vector


class Embedding(Protocol):
    """Embeds chunks."""

    def embed(self, chunks: Sequence[Chunk]) -> EmbeddedChunks:
        """Embed chunks, fewer of them if the run is cancelled."""


class EmbeddedWindow(NamedTuple):
    """The documents of a window whose chunks all have an outcome.

    Without a model, and after an early end, these may be fewer than the window has.
    """

    batch: EmbeddedBatch
    unsaved: int
    """Number of its chunks that were embedded, and are not stored anywhere yet."""


def embed_window(
    window: Sequence[ChunkedDocument],
    facts: TableFacts,
    in_flight: InFlight,
    embedding: Embedding,
    counters: RunCounters,
) -> EmbeddedWindow:
    """Return the window's documents with their vectors.

    Args:
        window: whole documents.
        facts: the table that stores the vectors.
        in_flight: finds vectors that are stored or being embedded.
        embedding: embeds chunks; not used if every vector exists.
        counters: count reused chunks, announce progress, and measure the speed.
    """
    chunks = [chunk for document in window for chunk in document.chunks]
    unique = {chunk.chunk_hash: chunk for chunk in chunks}
    begin = time.perf_counter()
    with counters.stage("reuse"):
        reservation = in_flight.reserve(unique.keys())
    looked_up = time.perf_counter() - begin
    counters.emit(Step.REUSED, len(chunks) - len(reservation.own))
    try:
        own, unsaved, seconds = embedding.embed([unique[key] for key in reservation.own])
    except BaseException as error:
        reservation.fail(error)
        raise
    reservation.resolve(own)
    found = _storable(reservation.found, facts)
    outcomes = {**found, **own, **reservation.wait_for_others()}
    tokens = sum(len(chunk.token_ids) for chunk in chunks)
    reuses = len(own) < len(unique) - len(own)
    counters.measure_speed(tokens, looked_up + seconds, reuses=reuses)
    batch = _batch(window, outcomes, facts)
    written = [chunk for document in batch.documents for chunk in document.chunks]
    failed = {chunk.chunk_hash for chunk in written if chunk.chunk_id in batch.failures}
    embedded = len(own.keys() & {chunk.chunk_hash for chunk in written} - failed)
    counters.add("embedded", embedded)
    counters.add("reused", len(written) - len(batch.failures) - embedded)
    return EmbeddedWindow(batch, unsaved)


def _storable(found: Mapping[bytes, Vector], facts: TableFacts) -> dict[bytes, Vector | str]:
    """Return stored vectors, with a reason in place of those that this table cannot hold."""
    if not found:
        return {}
    reasons = unstorable(np.stack(list(found.values())), facts.vector_type)
    return {key: reasons.get(row, vector) for row, (key, vector) in enumerate(found.items())}


def _batch(
    window: Sequence[ChunkedDocument], outcomes: Mapping[bytes, Vector | str], facts: TableFacts
) -> EmbeddedBatch:
    """Return the documents whose chunks all have an outcome."""
    whole = [d for d in window if all(chunk.chunk_hash in outcomes for chunk in d.chunks)]
    chunks = [chunk for document in whole for chunk in document.chunks]
    nothing = np.full(facts.dim, np.nan, np.float32)
    made = [outcomes[chunk.chunk_hash] for chunk in chunks]
    reasons = {row: outcome for row, outcome in enumerate(made) if isinstance(outcome, str)}
    vectors = np.empty((len(made), facts.dim), np.float32)
    for row, outcome in enumerate(made):
        vectors[row] = nothing if isinstance(outcome, str) else outcome
    failures = {chunks[row].chunk_id: reason for row, reason in reasons.items()}
    return EmbeddedBatch(tuple(whole), vectors, failures)


def failed_passages(chunked: ChunkedDocument, failures: Mapping[bytes, str]) -> list[str]:
    """Return a sentence for each passage of a document that has no vector."""
    return [
        f"lines {chunk.start_line}-{chunk.end_line} could not be embedded: {reason}"
        for chunk in chunked.chunks
        if (reason := failures.get(chunk.chunk_id))
    ]
