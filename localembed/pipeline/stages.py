"""The stages of a window of files after it is read: embed it, then commit it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple, Protocol

from localembed.embedding import give_back_memory
from localembed.errors import LocalembedError, WorkspaceError
from localembed.pipeline.counters import RunCounters
from localembed.pipeline.in_flight import InFlight
from localembed.pipeline.ingest import Ingested
from localembed.pipeline.reuse import Embedding, embed_window, failed_passages
from localembed.types.documents import EmbeddedBatch, Note
from localembed.types.models import Embedder, EngineUse
from localembed.types.tables import TableFacts

if TYPE_CHECKING:
    from localembed.types.arrays import Vector, VectorMatrix


class RowWriter(Protocol):
    """Writes the rows of a run; `commit.TableWriter` writes them into this workspace."""

    def begin(self) -> object:
        """Open the target, once; two threads may call this."""

    def look_up(self, hashes: Collection[bytes]) -> Mapping[bytes, Vector]:
        """Return the vectors that are stored for chunk hashes in this space."""

    def write(self, batch: EmbeddedBatch, entries: Sequence[Ingested]) -> None:
        """Commit whole documents, and the outcomes of all files of the window."""

    def save(self, keys: Sequence[bytes], vectors: VectorMatrix, /) -> None:
        """Save vectors under their chunk hashes until their documents are committed."""

    def note(self, entries: Sequence[Ingested]) -> None:
        """Commit the outcomes of files without rows to write."""

    def expect_end(self) -> None:
        """Prepare for the end: all files are read."""


class EmbedderLoader(Protocol):
    """Loads the model of a run."""

    @property
    def windows_in_flight(self) -> int:
        """Number of windows to embed concurrently; more than one only for a remote model."""

    def load(self, text_bytes: int, tokens: int) -> Embedder:
        """Load the model.

        Args:
            text_bytes: estimate of the most bytes of text to embed.
            tokens: tokens to embed at first; more may follow.
        """


class Embedded(NamedTuple):
    """A window with its vectors; without the documents that an early end left unfinished."""

    window: Sequence[Ingested]
    batch: EmbeddedBatch | None
    """None if none of its files has chunks to write."""
    unsaved: int = 0
    """Number of chunks that were embedded, and are not stored anywhere yet."""


class RunModel:
    """The model of a run, loaded for the first text to embed; safe for several threads."""

    def __init__(self, loader: EmbedderLoader, text_bytes: int) -> None:
        """Load nothing yet.

        Args:
            loader: loads the model.
            text_bytes: estimate of the most bytes of text to embed.
        """
        self._loader = loader
        self._text_bytes = text_bytes
        self._embedder: Embedder | None = None
        self._loading = Lock()
        self.problem: LocalembedError | None = None
        """Reason why the model could not be loaded; documents that need it are left out."""

    @property
    def use(self) -> EngineUse | None:
        """Engine that embedded; None if there was nothing to embed."""
        return self._embedder.use if self._embedder else None

    def embedder(self, tokens: int) -> Embedder | None:
        """Return the model, loaded once; None if it cannot be loaded, see `problem`.

        Args:
            tokens: tokens to embed with it at first.

        Raises:
            WorkspaceError: the workspace is damaged or cannot be written.
        """
        with self._loading:
            if self._embedder is None and self.problem is None:
                try:
                    self._embedder = self._loader.load(self._text_bytes, tokens)
                except WorkspaceError:
                    raise
                except LocalembedError as error:
                    self.problem = error
            return self._embedder

    def close(self) -> None:
        """Cancel embedding."""
        if self._embedder is not None:
            self._embedder.close()


class Stages:
    """The stages after reading, with the state that they share."""

    def __init__(
        self, writer: RowWriter, facts: TableFacts, embedding: Embedding, counters: RunCounters
    ) -> None:
        """Set up the stages.

        Args:
            writer: writes the rows.
            facts: the table to write.
            embedding: embeds chunks.
            counters: count embedded and written chunks.
        """
        self._writer = writer
        self._facts = facts
        self._embedding = embedding
        self._counters = counters
        self._in_flight = InFlight(writer)

    def embed(self, window: Sequence[Ingested]) -> Embedded:
        """Return the window's documents with their vectors; safe for several threads."""
        documents = [entry.chunked for entry in window if entry.chunked is not None]
        if not documents:
            return Embedded(window, None)
        with self._counters.stage("open store"):
            self._writer.begin()
        batch, unsaved = embed_window(
            documents, self._facts, self._in_flight, self._embedding, self._counters
        )
        whole = {id(document) for document in batch.documents}
        finished = [e for e in window if e.chunked is None or id(e.chunked) in whole]
        return Embedded(finished, batch if batch.chunks else None, unsaved)

    def write(self, embedded: Embedded) -> None:
        """Commit a window."""
        if embedded.batch is None:
            self._writer.note(embedded.window)
        else:
            self._counters.fail_chunks(_failed_chunks(embedded.window, embedded.batch))
            self._writer.write(embedded.batch, embedded.window)
            self._counters.add("kept", embedded.unsaved)
            self._in_flight.forget(chunk.chunk_hash for chunk in embedded.batch.chunks)
            # Memory that the window used is free in several heaps, where the next may not find it.
            give_back_memory()


def _failed_chunks(window: Sequence[Ingested], batch: EmbeddedBatch) -> list[Note]:
    """Return the passages without a vector, with reasons; full-text search still finds them."""
    return [
        Note(entry.file.absolute, reason)
        for entry in window
        if entry.chunked
        for reason in failed_passages(entry.chunked, batch.failures)
    ]
