"""The schema of a table, and how embedded documents become rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from localembed.store.lance.search_text import search_text
from localembed.store.vector_types import as_stored
from localembed.types.documents import READABLE, EmbeddedBatch
from localembed.types.tables import TableFacts

if TYPE_CHECKING:
    import pyarrow as pa


_CHUNK_COLUMNS = (
    "chunk_id", "doc_id", "chunk_hash", "ord", "start", "end", "start_line", "end_line", "heading",
    "text", "readable",
)  # fmt: skip
_DOCUMENT_COLUMNS = ("content_hash", "root_id", "record_id", "kind", "mtime_ns")
UNREADABLE = f"readable < {READABLE}"
"""Condition of rows whose vectors say nothing about their text."""


def _compressed(block_bytes: int) -> dict[str, str]:
    """Return how a column of long texts is stored: compressed in blocks of this size."""
    return {
        "lance-encoding:compression": "zstd",
        "lance-encoding:compression-level": "3",
        "lance-encoding:structural-encoding": "miniblock",
        "lance-encoding:minichunk-size": str(block_bytes),
    }


_TEXT_STORAGE = _compressed(16 << 10)
"""Storage of texts, of which a query reads a few: 38% of their size, and read as fast."""
_SEARCH_TEXT_STORAGE = _compressed(64 << 10)
"""Storage of what is only read as a whole."""


def schema(facts: TableFacts) -> pa.Schema:
    """Return the Arrow schema of a table."""
    import pyarrow as pa

    number = pa.float16() if facts.vector_type == "float16" else pa.float32()

    def required(name: str, kind: pa.DataType, metadata: dict[str, str] | None = None) -> pa.Field:
        return pa.field(name, kind, nullable=False, metadata=metadata)

    columns = [
        *(
            required(name, pa.binary(16))
            for name in ("chunk_id", "doc_id", "chunk_hash", "content_hash")
        ),
        required("root_id", pa.string()),
        required("path_bytes", pa.binary()),
        required("path", pa.string()),
        *(required(name, pa.string()) for name in ("record_id", "kind", "title", "place")),
        *(
            required(name, pa.int32())
            for name in ("ord", "n_chunks", "start", "end", "start_line", "end_line")
        ),
        required("heading", pa.string()),
        required("text", pa.string(), _TEXT_STORAGE),
        required("search_text", pa.string(), _SEARCH_TEXT_STORAGE),
        required("tokens", pa.int32()),
        required("readable", pa.float32()),
        pa.field("metadata", pa.json_()),
        required("mtime_ns", pa.int64()),
        required("run", pa.int64()),
        pa.field("vector", pa.list_(number, facts.dim)),
    ]
    metadata = {
        f"localembed.{name}": str(getattr(facts, name)) for name in TableFacts.__dataclass_fields__
    }
    return pa.schema(columns, metadata=metadata)


def batch_rows(batch: EmbeddedBatch, run: int, shape: pa.Schema) -> pa.Table:
    """Return one row per chunk of the batch."""
    import pyarrow as pa

    arrays = {
        name: pa.array(values, shape.field(name).type) for name, values in _columns(batch, run)
    }
    arrays["vector"] = _vector_column(batch, shape.field("vector").type)
    return pa.Table.from_arrays([arrays[name] for name in shape.names], schema=shape)


def _vector_column(batch: EmbeddedBatch, kind: pa.DataType) -> pa.Array:
    """Return the vectors; null for a chunk that failed."""
    import pyarrow as pa

    values = as_stored(batch.vectors, "float16" if kind.value_type == pa.float16() else "float32")
    missing = ~np.isfinite(values).all(axis=1)
    values[missing] = 0
    flat = pa.array(values.reshape(-1), kind.value_type)
    return pa.FixedSizeListArray.from_arrays(flat, type=kind, mask=pa.array(missing))


def _columns(batch: EmbeddedBatch, run: int) -> Iterator[tuple[str, list[object]]]:
    """Yield the values of every column except the vectors, one at a time to save memory."""
    chunks = batch.chunks
    entries = [entry for entry in batch.documents for _ in entry.chunks]
    documents = [entry.document for entry in entries]
    for name in _CHUNK_COLUMNS:
        yield name, [getattr(chunk, name) for chunk in chunks]
    for name in _DOCUMENT_COLUMNS:
        yield name, [getattr(document, name) for document in documents]
    yield "path_bytes", [document.path for document in documents]
    yield "path", [document.display for document in documents]
    yield "n_chunks", [len(entry.chunks) for entry in entries]
    yield "search_text", list(map(search_text, documents, chunks))
    yield "tokens", [len(chunk.token_ids) for chunk in chunks]
    yield "run", [run] * len(chunks)
    for name in ("title", "place"):
        yield name, [""] * len(chunks)
    yield "metadata", [None] * len(chunks)
