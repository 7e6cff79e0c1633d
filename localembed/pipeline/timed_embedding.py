"""Embed the chunks of a window, and save the vectors in time: a kill may cost only seconds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from localembed.core.cancellation import CancelToken
from localembed.pipeline.counters import RunCounters
from localembed.store.vector_types import unstorable
from localembed.types.documents import Chunk
from localembed.types.events import Step
from localembed.types.models import Embedder, ModelInput
from localembed.types.tables import TableFacts

if TYPE_CHECKING:
    from localembed.types.arrays import Vector, VectorMatrix

_OVERTIME = 1.25
"""How much longer than planned a window may take before its vectors are saved in parts."""


class EmbedderSource(Protocol):
    """Provides the model, loaded once."""

    def embedder(self, tokens: int) -> Embedder | None:
        """Return the model to embed so many tokens, None if it cannot be loaded."""


class VectorStore(Protocol):
    """Saves vectors until the rows of their documents are committed."""

    def save(self, keys: Sequence[bytes], vectors: VectorMatrix, /) -> None:
        """Save vectors, (n, dim) float32, under their chunk hashes; they survive a power cut."""


class EmbeddedChunks(NamedTuple):
    """The outcomes of chunks, and how many of them a kill would still cost."""

    outcomes: dict[bytes, Vector | str]
    """Chunk hash → vector, or the reason why there is none."""
    unsaved: int
    seconds: float
    """Time that the model took, without loading it."""


class TimedEmbedding:
    """Embeds chunks for a limited time, saves what it has, and goes on."""

    def __init__(
        self,
        source: EmbedderSource,
        store: VectorStore,
        facts: TableFacts,
        seconds: float,
        token: CancelToken,
        counters: RunCounters,
    ) -> None:
        """Load nothing yet.

        Args:
            source: loads the model for the first chunk.
            store: saves the vectors of a window that takes long, or ends early.
            facts: the table that stores the vectors.
            seconds: planned seconds of embedding per commit; 0 for a remote model, which saves each
                answer by itself.
            token: when it is cancelled, embedding ends after the current batch.
            counters: count chunks, and measure how fast they are embedded.
        """
        self._source = source
        self._store = store
        self._facts = facts
        self._seconds = seconds
        self._token = token
        self._counters = counters

    def embed(self, chunks: Sequence[Chunk]) -> EmbeddedChunks:
        """Embed chunks; without a model, or once the run is cancelled, some are missing."""
        outcomes: dict[bytes, Vector | str] = {}
        unsaved, seconds = 0, 0.0
        rest = list(chunks)
        while rest and (model := self._model(rest)) is not None:
            begin = time.monotonic()
            part = self._embed_part(rest, model)
            seconds += time.monotonic() - begin
            outcomes.update(part)
            rest = [chunk for chunk in rest if chunk.chunk_hash not in outcomes]
            unsaved = len(part) if self._seconds else 0
            if unsaved and (rest or self._token.is_cancelled):
                self._save(part)
                unsaved = 0
        return EmbeddedChunks(outcomes, unsaved, seconds)

    def _model(self, chunks: Sequence[Chunk]) -> Embedder | None:
        """Return the model; None if it cannot be loaded, or the run is over."""
        if self._token.is_cancelled:
            return None
        with self._counters.stage("load model"):
            return self._source.embedder(sum(len(chunk.token_ids) for chunk in chunks))

    def _embed_part(self, chunks: Sequence[Chunk], model: Embedder) -> dict[bytes, Vector | str]:
        """Embed what the planned time allows, and check every vector before it is used."""
        counters = self._counters
        inputs = [ModelInput(c.model_text, c.token_ids, c.chunk_hash) for c in chunks]
        with counters.stage("embed"):
            made = model.embed_documents(inputs, _PartProgress(self))
        done = [row for row in range(len(chunks)) if row not in made.unfinished]
        faults = {**_faults(made.vectors[done], done, self._facts), **made.failures}
        counters.add("tokens", sum(len(chunks[row].token_ids) for row in done))
        return {chunks[row].chunk_hash: faults.get(row, made.vectors[row]) for row in done}

    def _save(self, part: dict[bytes, Vector | str]) -> None:
        vectors = {key: vector for key, vector in part.items() if not isinstance(vector, str)}
        if vectors:
            with self._counters.stage("write"):
                self._store.save(list(vectors), np.stack(list(vectors.values())))
        self._counters.add("kept", len(part))


class _PartProgress:
    """Ends a call of the model when its time is up, or the run is over."""

    def __init__(self, embedding: TimedEmbedding) -> None:
        self._counters, self._token = embedding._counters, embedding._token
        self._is_remote = not embedding._seconds
        planned = embedding._seconds or float("inf")
        self._until = time.monotonic() + planned * _OVERTIME

    def begun(self, inputs: int, /) -> None:
        """Announce chunks that have their vectors, or soon will."""
        self._counters.add("begun", inputs)
        if self._is_remote:  # each answer was saved when it arrived
            self._counters.add("kept", inputs)
        self._counters.emit(Step.EMBEDDED, inputs)

    def is_over(self) -> bool:
        """Tell whether to begin no more batches."""
        return self._token.is_cancelled or time.monotonic() >= self._until


def _faults(vectors: VectorMatrix, rows: Sequence[int], facts: TableFacts) -> dict[int, str]:
    """Return row → reason for vectors that must not be stored.

    Args:
        vectors: the vectors of these rows.
        rows: their numbers.
        facts: the table that stores them.
    """
    width = vectors.shape[1]
    if width != facts.dim:
        reason = f"the model returned {width} dimensions instead of {facts.dim}"
        return dict.fromkeys(rows, reason)
    found = unstorable(vectors, facts.vector_type)
    return {rows[index]: reason for index, reason in found.items()}
