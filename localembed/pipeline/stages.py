"""What a run does with a window of files once it is read: embed it, then commit it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, Protocol

from localembed.embedding import give_back_memory
from localembed.pipeline.counters import RunCounters
from localembed.pipeline.in_flight import InFlight
from localembed.pipeline.ingest import Ingested
from localembed.pipeline.reuse import embed_window, failed_passages
from localembed.types.documents import EmbeddedBatch, Note
from localembed.types.models import Embedder, EngineUse

if TYPE_CHECKING:
    from localembed.types.arrays import Vector


class RowWriter(Protocol):
    """Takes the rows of a run. `commit.TableWriter` makes them durable in this workspace."""

    def begin(self) -> object:
        """Open what is written to, once; two threads may ask for it."""

    def look_up(self, hashes: Collection[bytes]) -> Mapping[bytes, Vector]:
        """Return the vectors that are stored for chunk hashes in this space."""

    def write(self, batch: EmbeddedBatch, entries: Sequence[Ingested]) -> None:
        """Commit whole documents, and what became of the files read on the way."""

    def note(self, entries: Sequence[Ingested]) -> None:
        """Commit what became of files that have nothing to write."""

    def expect_end(self) -> None:
        """Prepare for the end: all files are read."""


class EmbedderLoader(Protocol):
    """Loads the model of a run."""

    @property
    def windows_in_flight(self) -> int:
        """Windows that are embedded side by side; more than one only where a provider does it."""

    def load(self, text_bytes: int) -> Embedder:
        """Load the model.

        Args:
            text_bytes: about how many bytes of text will be embedded at most.
        """


class Embedded(NamedTuple):
    """A window with its vectors; without any when none of its files has chunks to write."""

    window: Sequence[Ingested]
    batch: EmbeddedBatch | None


class Stages:
    """The stages behind reading, with the state they share."""

    def __init__(
        self,
        writer: RowWriter,
        dim: int,
        loader: EmbedderLoader,
        text_bytes: int,
        counters: RunCounters,
    ) -> None:
        """Take what the run is made of; the model is loaded for the first text to embed.

        Args:
            writer: takes the rows.
            dim: dimensions of a vector.
            loader: loads the model.
            text_bytes: about how many bytes of text the run will embed at most.
            counters: count what is embedded and written.
        """
        self._writer = writer
        self._dim = dim
        self._embedder: Embedder | None = None
        self._loader = loader
        self._text_bytes = text_bytes
        self._loading = Lock()
        self._counters = counters
        self._in_flight = InFlight(writer)

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
            self._writer.begin()
        batch = embed_window(documents, self._dim, self._in_flight, self, self._counters)
        return Embedded(window, batch)

    def write(self, embedded: Embedded) -> None:
        """Commit a window."""
        if embedded.batch is None:
            self._writer.note(embedded.window)
        else:
            self._counters.fail_chunks(_failed_chunks(embedded.window, embedded.batch))
            self._writer.write(embedded.batch, embedded.window)
            self._in_flight.forget(chunk.chunk_hash for chunk in embedded.batch.chunks)
            # What a window took lies free in several heaps; the next one need not add to it.
            give_back_memory()

    def embedder(self) -> Embedder:
        """Return the model, loaded once; several threads may ask for it."""
        with self._loading:
            self._embedder = self._embedder or self._loader.load(self._text_bytes)
            return self._embedder


def _failed_chunks(window: Sequence[Ingested], batch: EmbeddedBatch) -> list[Note]:
    """Return the places that have no vector, and why; full text finds them all the same."""
    return [
        Note(entry.file.absolute, reason)
        for entry in window
        if entry.chunked
        for reason in failed_passages(entry.chunked, batch.failures)
    ]
