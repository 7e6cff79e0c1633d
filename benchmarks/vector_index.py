"""How fast and how exact a search over a million vectors is, with the index that a run makes.

    python -m benchmarks.vector_index --data scifact --out benchmarks/results/vector-index.json

`--data` is a folder in BEIR's layout that `benchmarks.ranking` has indexed. Its vectors are taken
many times, each time with noise added (cosine to the original about 0.8): neighbourhoods as real
texts have them, in numbers that would take days to embed. The questions are its own. Seconds are
those of one search in a process that stays, best ten, rows included. Recall is measured against
comparing all vectors.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.machine import publish
from localembed import models
from localembed.embedding import EngineOptions, load_query_embedder
from localembed.evaluation.collection import home_of
from localembed.store.head import read_head
from localembed.store.lance.connection import connect
from localembed.store.lance.maintenance_child import MaintenanceChild
from localembed.store.lance.read_rows import ChunkReader
from localembed.store.lance.rows import schema
from localembed.store.lance.table import ChunkTable
from localembed.store.layout import FORMAT, Layout
from localembed.types.tables import TableFacts, TableHead, VectorIndex

_BATCH, _QUERIES, _NOISE = 20_000, 100, 0.75
_TABLE = "chunks_" + 12 * "0"


def main() -> None:
    """Fill a table, index it, search it, and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder in BEIR's layout")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    indexed = Layout(home_of(arguments.data) / "workspace")
    real = _real_vectors(indexed)
    questions = _questions(indexed, arguments.data / "queries.jsonl")
    with tempfile.TemporaryDirectory(prefix="localembed-million-") as name:
        layout = Layout(Path(name))
        facts = TableFacts(_TABLE, "million", FORMAT, "m", "s", real.shape[1], 254, 32, "float16")
        ChunkTable.open_or_create(layout, facts)
        _fill(layout, facts, real, arguments.rows)
        begin = time.perf_counter()
        index = MaintenanceChild(layout.table(facts.name)).do(["vector"])
        if index is None:
            message = "no index was made"
            raise SystemExit(message)
        seconds = time.perf_counter() - begin
        made = ChunkTable.open(layout, facts.name)
        found = _search(ChunkReader(layout, facts.name, _entry(made, facts, index)), questions)
    publish(
        {
            "rows": arguments.rows,
            "dim": real.shape[1],
            "real_vectors": len(real),
            "questions": min(_QUERIES, len(questions)),
            "seconds_to_index_and_measure": round(seconds, 1),
            "recall_measured_by_the_run": round(index.recall, 3),
            "partitions_looked_into": index.probes,
            **found,
        },
        arguments.out,
    )


def _real_vectors(layout: Layout) -> np.ndarray:
    """Return the vectors of the default table, (n, dim) float32 of length 1."""
    name = read_head(layout).default
    if name is None:
        message = f"nothing is indexed in {layout.folder}"
        raise SystemExit(message)
    rows = connect(layout.vectors).open_table(name).search().select(["vector"]).to_arrow()
    column = rows["vector"].combine_chunks().drop_null()
    flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    return _unit(flat.reshape(len(column), -1))


def _questions(layout: Layout, questions: Path) -> list[np.ndarray]:
    """Return the vectors of questions: each (dim,) float32."""
    entry = next(iter(read_head(layout).tables.values()))
    model = models.open_model(entry.model)
    embedder = load_query_embedder(model.spec, model.folder, EngineOptions())
    lines = questions.read_text().splitlines()[: 2 * _QUERIES]
    return [embedder.embed_query(json.loads(line)["text"]) for line in lines]


def _unit(vectors: np.ndarray) -> np.ndarray:
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _near(real: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return vectors in the neighbourhoods of real ones."""
    noise = rng.standard_normal((count, real.shape[1])).astype(np.float32)
    return _unit(real[rng.integers(0, len(real), count)] + _NOISE * _unit(noise))


def _fill(layout: Layout, facts: TableFacts, real: np.ndarray, rows: int) -> None:
    rng = np.random.default_rng(1)
    handle = connect(layout.vectors).open_table(facts.name)
    shape = schema(facts)
    for start in range(0, rows, _BATCH):
        count = min(_BATCH, rows - start)
        handle.add(_rows(shape, _near(real, count, rng), start))


def _rows(shape: pa.Schema, vectors: np.ndarray, start: int) -> pa.Table:
    """Return rows with these vectors and next to nothing else."""
    count = len(vectors)
    flat = pa.array(vectors.astype(np.float16).reshape(-1))
    kind = shape.field("vector").type
    columns = []
    for field in shape:
        if field.name == "vector":
            columns.append(pa.FixedSizeListArray.from_arrays(flat, type=kind))
        elif pa.types.is_fixed_size_binary(field.type):
            values = [(start + row).to_bytes(16, "big") for row in range(count)]
            columns.append(pa.array(values, field.type))
        elif pa.types.is_integer(field.type):
            columns.append(pa.array(np.arange(start, start + count), field.type))
        elif pa.types.is_floating(field.type):
            columns.append(pa.array([1.0] * count, field.type))  # readable as a whole
        elif field.nullable:
            columns.append(pa.nulls(count, field.type))
        else:
            empty = b"" if pa.types.is_binary(field.type) else ""
            columns.append(pa.array([empty] * count, field.type))
    return pa.Table.from_arrays(columns, schema=shape)


def _entry(table: ChunkTable, facts: TableFacts, index: VectorIndex) -> TableHead:
    return TableHead(
        uuid=table.uuid, lance_version=table.version, run=1, complete=True, model=facts.model,
        space_id=facts.space_id, dim=facts.dim, max_tokens=facts.max_tokens,
        overlap_tokens=facts.overlap_tokens, vector_type=facts.vector_type,
        chunks=table.count(), vector_index=index,
    )  # fmt: skip


def _search(reader: ChunkReader, queries: Sequence[np.ndarray]) -> dict[str, object]:
    for query in queries[_QUERIES:]:  # a process that stays has seen others before
        reader.by_vector(query, 10)
    times, exact_times, shares = [], [], []
    everything = reader.select("true")
    for query in queries[:_QUERIES]:
        begin = time.perf_counter()
        near = {candidate.chunk_id for candidate in reader.by_vector(query, 10)}
        times.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        exact = reader.by_vector(query, 10, replace(everything, rows=0))
        exact_times.append(time.perf_counter() - begin)
        shares.append(len(near & {candidate.chunk_id for candidate in exact}) / 10)
    return {
        "search_p50_ms": round(1000 * float(np.median(times)), 1),
        "search_p95_ms": round(1000 * float(np.percentile(times, 95)), 1),
        "exact_p50_ms": round(1000 * float(np.median(exact_times)), 1),
        "recall_at_10": round(float(np.mean(shares)), 3),
    }


if __name__ == "__main__":
    main()
