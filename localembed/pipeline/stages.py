"""What a run does with a window of files once it is read: embed it, then commit it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import NamedTuple

from localembed.embedding import give_back_memory
from localembed.pipeline.commit import Committer
from localembed.pipeline.counters import RunCounters
from localembed.pipeline.in_flight import InFlight
from localembed.pipeline.ingest import Ingested
from localembed.pipeline.reuse import embed_window, failed_passages
from localembed.types.documents import EmbeddedBatch, Note
from localembed.types.models import Embedder, EngineUse
from localembed.types.runs import Event


class Embedded(NamedTuple):
    """A window with its vectors; without any when none of its files has chunks to write."""

    window: Sequence[Ingested]
    batch: EmbeddedBatch | None


class Stages:
    """The stages behind reading, with the state they share."""

    def __init__(
        self,
        committer: Committer,
        dim: int,
        load_embedder: Callable[[], Embedder],
        counters: RunCounters,
        on_event: Event,
    ) -> None:
        """Take what the run is made of; the model is loaded for the first text to embed."""
        self._committer = committer
        self._dim = dim
        self._embedder: Embedder | None = None
        self._load = load_embedder
        self._loading = Lock()
        self._counters = counters
        self._on_event = on_event
        self._in_flight = InFlight(committer.look_up)

    @property
    def use(self) -> EngineUse | None:
        """What embedded, None if nothing had to be."""
        return self._embedder.use if self._embedder else None

    def close(self) -> None:
        """Give up what is being embedded."""
        if self._embedder is not None:
            self._embedder.close()

    def embed(self, window: Sequence[Ingested]) -> Embedded:
        """Return the window's documents with their vectors; several threads may be in here."""
        documents = [entry.chunked for entry in window if entry.chunked is not None]
        if not documents:
            return Embedded(window, None)
        with self._counters.stage("open store"):
            self._committer.begin()
        batch = embed_window(
            documents, self._dim, self._in_flight, self._model, self._counters, self._on_event
        )
        return Embedded(window, batch)

    def write(self, embedded: Embedded) -> None:
        """Commit a window."""
        if embedded.batch is None:
            self._committer.note(embedded.window)
        else:
            self._counters.failed_chunks += _failed_chunks(embedded.window, embedded.batch)
            self._committer.write(embedded.batch, embedded.window)
            self._in_flight.forget(chunk.chunk_hash for chunk in embedded.batch.chunks)
            # What a window took lies free in several heaps; the next one need not add to it.
            give_back_memory()

    def _model(self) -> Embedder:
        with self._loading:
            self._embedder = self._embedder or self._load()
            return self._embedder


def _failed_chunks(window: Sequence[Ingested], batch: EmbeddedBatch) -> list[Note]:
    """Return the places that have no vector, and why; full text finds them all the same."""
    return [
        Note(entry.file.absolute, reason)
        for entry in window
        if entry.chunked
        for reason in failed_passages(entry.chunked, batch.failures)
    ]
