"""The shape of a Lance row, and how embedded documents become rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from localembed.store.facts import TableFacts
from localembed.store.words import search_text
from localembed.types import Chunk, ChunkedDocument, EmbeddedBatch

if TYPE_CHECKING:
    import pyarrow as pa


def schema(facts: TableFacts) -> pa.Schema:
    """Return the Arrow schema of a table."""
    import pyarrow as pa

    number = pa.float16() if facts.vector_type == "float16" else pa.float32()

    def required(name: str, kind: pa.DataType) -> pa.Field:
        return pa.field(name, kind, nullable=False)

    columns = [
        *(
            required(name, pa.binary(16))
            for name in ("chunk_id", "doc_id", "chunk_hash", "content_hash")
        ),
        required("root_id", pa.string()),
        required("path_bytes", pa.binary()),
        required("path", pa.string()),
        required("record_id", pa.string()),
        *(
            required(name, pa.int32())
            for name in ("ord", "n_chunks", "start", "end", "start_line", "end_line")
        ),
        required("heading", pa.string()),
        required("text", pa.string()),
        required("search_text", pa.string()),
        required("tokens", pa.int32()),
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

    columns: dict[str, list[object]] = {name: [] for name in shape.names if name != "vector"}
    for entry in batch.documents:
        for chunk in entry.chunks:
            for name, value in _row(entry, chunk, run).items():
                columns[name].append(value)
    arrays = [
        pa.array(columns[field.name], field.type) if field.name != "vector" else None
        for field in shape
    ]
    arrays[shape.get_field_index("vector")] = _vector_column(batch, shape.field("vector").type)
    return pa.Table.from_arrays(arrays, schema=shape)


def _vector_column(batch: EmbeddedBatch, kind: pa.DataType) -> pa.Array:
    """Return the vectors; null where a chunk failed, or is not finite in the stored type."""
    import pyarrow as pa

    number = np.float16 if kind.value_type == pa.float16() else np.float32
    with np.errstate(over="ignore"):
        values = batch.vectors.astype(number)
    missing = ~np.isfinite(values).all(axis=1)
    values[missing] = 0
    flat = pa.array(values.reshape(-1), kind.value_type)
    return pa.FixedSizeListArray.from_arrays(flat, type=kind, mask=pa.array(missing))


def _row(entry: ChunkedDocument, chunk: Chunk, run: int) -> dict[str, object]:
    document = entry.document
    return {
        "chunk_id": chunk.chunk_id,
        "doc_id": chunk.doc_id,
        "chunk_hash": chunk.chunk_hash,
        "content_hash": document.content_hash,
        "root_id": document.root_id,
        "path_bytes": document.path,
        "path": document.display,
        "record_id": document.record_id,
        "ord": chunk.ord,
        "n_chunks": len(entry.chunks),
        "start": chunk.start,
        "end": chunk.end,
        "start_line": chunk.start_line,
        "end_line": chunk.end_line,
        "heading": chunk.heading,
        "text": chunk.text,
        "search_text": search_text(document, chunk),
        "tokens": len(chunk.token_ids),
        "mtime_ns": document.mtime_ns,
        "run": run,
    }
