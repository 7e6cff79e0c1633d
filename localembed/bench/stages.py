"""Measure each stage of a run alone: read, clean, chunk, embed, write."""

from __future__ import annotations

import importlib.util
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from localembed.bench.sample import read_documents
from localembed.chunking import clean
from localembed.embedding.local_embedder import LocalEmbedder
from localembed.pipeline.ingest import NO_STAT, Ingested, in_groups
from localembed.types.documents import (
    ChunkedDocument,
    Document,
    DocumentChunker,
    EmbeddedBatch,
    FileRecord,
    SourceFile,
)

if TYPE_CHECKING:
    from localembed.pipeline.commit import TableWriter

T = TypeVar("T")

_MAX_READ_SECONDS = 2.0
_MAX_READ_BYTES = 32 << 20
_MIN_CHUNKS = 2048
_TABLE = "chunks_" + 12 * "0"


@dataclass(frozen=True, slots=True)
class StageRate:
    """The speed of one stage when nothing else is running."""

    stage: str
    seconds: float
    chunks: int
    bytes: int

    @property
    def chunks_per_second(self) -> float:
        """Rate that is comparable between stages."""
        return self.chunks / max(self.seconds, 1e-9)


def measure_stages(
    files: Sequence[SourceFile],
    chunker: DocumentChunker,
    embedder: LocalEmbedder,
    *,
    embed_chunks: int,
) -> list[StageRate]:
    """Return the rate of every stage over a sample of files."""
    begin = time.perf_counter()
    documents: list[Document] = []
    size = 0
    reading = 0.0
    for document, data in read_documents(files):
        reading = time.perf_counter() - begin
        documents.append(document)
        size += len(data)
        if reading > _MAX_READ_SECONDS or size > _MAX_READ_BYTES:
            break
    chunking, chunked = _timed(lambda: _chunk(documents, chunker))
    chunks = [item for entry in chunked for item in entry.chunks]
    cleaning, _ = _timed(lambda: [clean.clean(item.text) for item in chunks])
    sample = chunks[:: max(1, len(chunks) // embed_chunks)][:embed_chunks]
    embedding, _ = _timed(lambda: embedder.embed_ids([c.token_ids for c in sample]))
    written = sum(len(entry.chunks) for entry in chunked)
    chunked_bytes = sum(len(entry.document.text) for entry in chunked)
    rates = [
        StageRate("read", reading * len(chunked) / max(1, len(documents)), written, chunked_bytes),
        StageRate("clean", cleaning, written, chunked_bytes),
        StageRate("chunk", chunking, written, chunked_bytes),
        StageRate("embed", embedding, len(sample), sum(len(item.text) for item in sample)),
    ]
    return [*rates, measure_writing(chunked, embedder.spec.dim)] if _has_store() else rates


def slowest(rates: Sequence[StageRate]) -> StageRate:
    """Return the stage that limits a run."""
    return min(rates, key=lambda rate: rate.chunks_per_second)


def _chunk(documents: Sequence[Document], chunker: DocumentChunker) -> list[ChunkedDocument]:
    """Chunk documents, in groups as a run does, until there are enough chunks."""
    chunked: list[ChunkedDocument] = []
    count = 0
    for _, group in in_groups((len(document.text), document) for document in documents):
        chunked += chunker(group)
        count += sum(len(entry.chunks) for entry in chunked[-len(group) :])
        if count >= _MIN_CHUNKS:
            break
    return chunked


def measure_writing(chunked: Sequence[ChunkedDocument], dim: int) -> StageRate:
    """Commit documents in two halves to a temporary workspace; return the rate of the second.

    The first commit also opens the store and builds the text index, as in any run.
    """
    from localembed.pipeline.commit import TableWriter
    from localembed.pipeline.counters import RunCounters
    from localembed.pipeline.publish import Publisher
    from localembed.store.layout import Layout
    from localembed.store.pending_vectors import PendingVectors
    from localembed.types.tables import SCHEMA_VERSION, TableFacts

    with tempfile.TemporaryDirectory(prefix="localembed-bench-") as name:
        layout = Layout(Path(name) / "workspace")
        layout.folder.mkdir()
        facts = TableFacts(_TABLE, "bench", SCHEMA_VERSION, "bench", "bench", dim, 0, 0, "float16")
        half = len(chunked) // 2
        counters = RunCounters()
        publisher = Publisher(layout, facts, {}, counters)
        pending = PendingVectors(layout, facts.space_id, dim)
        with TableWriter(layout, facts, publisher, pending, counters) as writer:
            _commit(writer, chunked[:half], dim)
            seconds = _commit(writer, chunked[half:], dim)
    rest = chunked[half:]
    size = sum(len(entry.document.text) for entry in rest)
    return StageRate("write", seconds, sum(len(entry.chunks) for entry in rest), size)


def _commit(writer: TableWriter, part: Sequence[ChunkedDocument], dim: int) -> float:
    """Commit documents and return the seconds that it took."""
    batch = _batch(part, dim)
    entries = [_entry(entry) for entry in part]
    begin = time.perf_counter()
    if entries:
        writer.write(batch, entries)
    return time.perf_counter() - begin


def _batch(part: Sequence[ChunkedDocument], dim: int) -> EmbeddedBatch:
    count = sum(len(entry.chunks) for entry in part)
    vectors = np.random.default_rng(1).standard_normal((count, dim)).astype(np.float32)
    return EmbeddedBatch(tuple(part), vectors, {})


def _entry(chunked: ChunkedDocument) -> Ingested:
    document = chunked.document
    file = SourceFile(document.root_id, b"", document.path, NO_STAT, document.doc_id)
    record = FileRecord(
        doc_id=document.doc_id,
        root_id=document.root_id,
        path=document.path,
        stat=NO_STAT,
        observed_ns=0,
        content_hash=document.content_hash,
        n_chunks=len(chunked.chunks),
        run=0,
        state="indexed",
    )
    return Ingested("written", file, record, None, chunked)


def _has_store() -> bool:
    """Tell whether lancedb and duckdb are installed; benchmarking models needs neither."""
    return all(importlib.util.find_spec(name) is not None for name in ("lancedb", "duckdb"))


def _timed(call: Callable[[], T]) -> tuple[float, T]:
    begin = time.perf_counter()
    result = call()
    return time.perf_counter() - begin, result
