"""Vectors for a window of chunks: existing ones are reused, the others embedded once each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from localembed.pipeline.counters import RunCounters
from localembed.pipeline.in_flight import InFlight
from localembed.types.documents import Chunk, ChunkedDocument, EmbeddedBatch
from localembed.types.events import Step
from localembed.types.models import Embedder, ModelInput

if TYPE_CHECKING:
    from localembed.types.arrays import Vector, VectorMatrix


class EmbedderSource(Protocol):
    """Provides the model, loaded once."""

    def embedder(self) -> Embedder:
        """Return the model."""


def embed_window(
    window: Sequence[ChunkedDocument],
    dim: int,
    in_flight: InFlight,
    source: EmbedderSource,
    counters: RunCounters,
) -> EmbeddedBatch:
    """Return the window's documents with their vectors.

    Args:
        window: whole documents.
        dim: dimensions of the vectors.
        in_flight: finds vectors that are stored or being embedded.
        source: loads the model; not used if every vector exists.
        counters: count embedded, reused and failed chunks, and announce progress.
    """
    chunks = [chunk for entry in window for chunk in entry.chunks]
    unique = {chunk.chunk_hash: chunk for chunk in chunks}
    with counters.stage("reuse"):
        reservation = in_flight.reserve(unique.keys())
    counters.emit(Step.EMBEDDED, len(chunks) - len(reservation.own))
    try:
        own = _embed([unique[key] for key in reservation.own], source, dim, counters)
    except BaseException as error:
        reservation.fail(error)
        raise
    reservation.resolve(own)
    outcomes: dict[bytes, Vector | str] = {
        **reservation.found,
        **own,
        **reservation.wait_for_others(),
    }
    reasons = {key: outcome for key, outcome in outcomes.items() if isinstance(outcome, str)}
    failures = {c.chunk_id: reasons[c.chunk_hash] for c in chunks if c.chunk_hash in reasons}
    embedded = sum(1 for outcome in own.values() if not isinstance(outcome, str))
    counters.add("embedded", embedded)
    counters.add("reused", len(chunks) - len(failures) - embedded)
    nothing = np.full(dim, np.nan, np.float32)
    rows = [nothing if c.chunk_hash in reasons else outcomes[c.chunk_hash] for c in chunks]
    return EmbeddedBatch(tuple(window), np.concatenate(rows).reshape(-1, dim), failures)


def failed_passages(chunked: ChunkedDocument, failures: Mapping[bytes, str]) -> list[str]:
    """Return a sentence for each passage of a document that has no vector."""
    return [
        f"lines {chunk.start_line}-{chunk.end_line} could not be embedded: {reason}"
        for chunk in chunked.chunks
        if (reason := failures.get(chunk.chunk_id))
    ]


def _embed(
    missing: list[Chunk],
    source: EmbedderSource,
    dim: int,
    counters: RunCounters,
) -> dict[bytes, Vector | str]:
    """Embed chunks, and check every vector before it is used."""
    if not missing:
        return {}
    with counters.stage("load model"):
        model = source.embedder()
    with counters.stage("embed"):
        made = model.embed_documents(
            [ModelInput(c.model_text, c.token_ids, c.chunk_hash) for c in missing],
            partial(counters.emit, Step.EMBEDDED),
        )
    counters.add("tokens", sum(len(chunk.token_ids) for chunk in missing))
    faults = {**_faults(made.vectors, dim), **made.failures}
    return {
        chunk.chunk_hash: faults.get(row, vector)
        for row, (chunk, vector) in enumerate(zip(missing, made.vectors, strict=True))
    }


def _faults(vectors: VectorMatrix, dim: int) -> dict[int, str]:
    """Return row → reason for vectors that must not be stored."""
    rows, width = vectors.shape
    if width != dim:
        return dict.fromkeys(range(rows), f"the model returned {width} dimensions instead of {dim}")
    zeros = np.flatnonzero(~vectors.any(axis=1)).tolist()
    infinite = np.flatnonzero(~np.isfinite(vectors).all(axis=1)).tolist()
    return {
        **dict.fromkeys(zeros, "the model returned a vector of zeros"),
        **dict.fromkeys(infinite, "the model returned a vector that is not finite"),
    }
