"""Vectors for a window of chunks: those that exist are taken, the rest is embedded once each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from localembed.pipeline.tally import Tally
from localembed.types import Chunk, ChunkedDocument, EmbeddedBatch, Embedder, Event

if TYPE_CHECKING:
    import numpy.typing as npt

    FoundVectors = Mapping[bytes, npt.NDArray[np.float32]]


def embed_window(
    window: Sequence[ChunkedDocument],
    dim: int,
    look_up: Callable[[Collection[bytes]], FoundVectors],
    embedder: Callable[[], Embedder],
    tally: Tally,
    on_event: Event,
) -> EmbeddedBatch:
    """Return the window's documents with their vectors.

    Args:
        window: whole documents.
        dim: numbers of a vector.
        look_up: chunk hashes → the vectors stored for them in this space.
        embedder: loads the model at the first call; not called when every vector exists.
        tally: counts what was embedded, reused and failed.
        on_event: told of progress as ("chunks", count).
    """
    chunks = [chunk for entry in window for chunk in entry.chunks]
    unique = {chunk.chunk_hash: chunk for chunk in chunks}
    with tally.stage("reuse"):
        vectors = dict(look_up(unique.keys()))
    missing = [chunk for chunk_hash, chunk in unique.items() if chunk_hash not in vectors]
    on_event("chunks", len(chunks) - len(missing))
    reasons: dict[bytes, str] = {}
    if missing:
        with tally.stage("load model"):
            model = embedder()
        with tally.stage("embed"):
            _embed(missing, model, dim, vectors, reasons, on_event)
        tally.tokens += sum(len(chunk.token_ids) for chunk in missing)
    failed = [chunk for chunk in chunks if chunk.chunk_hash in reasons]
    tally.embedded += len(missing) - len(reasons)
    tally.reused += len(chunks) - len(failed) - (len(missing) - len(reasons))
    nothing = np.full(dim, np.nan, np.float32)
    matrix = [vectors.get(chunk.chunk_hash, nothing) for chunk in chunks]
    failures = {chunk.chunk_id: reasons[chunk.chunk_hash] for chunk in failed}
    return EmbeddedBatch(tuple(window), np.array(matrix, np.float32).reshape(-1, dim), failures)


def _embed(
    missing: list[Chunk],
    model: Embedder,
    dim: int,
    vectors: dict[bytes, npt.NDArray[np.float32]],
    reasons: dict[bytes, str],
    on_event: Event,
) -> None:
    """Embed, and check every vector before anything is done with it."""
    matrix = model.embed_documents(
        [chunk.token_ids for chunk in missing], lambda count: on_event("chunks", count)
    )
    for chunk, row in zip(missing, matrix, strict=True):
        reason = _fault(row, dim)
        if reason is None:
            vectors[chunk.chunk_hash] = row
        else:
            reasons[chunk.chunk_hash] = reason


def _fault(row: npt.NDArray[np.float32], dim: int) -> str | None:
    """Return why a vector may not be stored, None if it may."""
    if row.shape != (dim,):
        return f"the model gave {row.shape[0]} numbers instead of {dim}"
    if not np.isfinite(row).all():
        return "the model gave a vector that is not finite"
    if not row.any():
        return "the model gave a vector of zeros"
    return None
