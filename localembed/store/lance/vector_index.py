"""The vector index of a large table: made, measured against exact search, and searched.

IVF with RaBitQ's four bits for each number (Gao and Long, SIGMOD 2024), of which the nearest are
compared exactly. All that its recall needs is to look into enough partitions: how many is measured
here (see docs/decisions/storage.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from localembed.types.tables import VectorIndex

if TYPE_CHECKING:
    import pyarrow as pa

    from localembed.types.arrays import Vector, VectorMatrix


_BITS = 4
_TRAINED_ON, _ROUNDS = 64, 20
"""Rows for each partition, and passes over them: enough, and the index is made in half the time."""
_PARTITION_ROWS = 4096
_SAMPLE, _NEAREST = 50, 10
_PROBES = (10, 20, 40, 80, 160, 320)
_ENOUGH = 0.99
_REFINED = 2
"""The nearest by the index are compared exactly, so many for each that is asked for."""
_HITS_PER_PROBES = 100
_TIE = 1e-5


def build_vector_index(handle: Any) -> VectorIndex:  # noqa: ANN401 - lancedb ships no types
    """Make the vector index of an open table, replacing the one there is, and measure it."""
    from lancedb.index import IvfRq

    config = IvfRq(
        distance_type="cosine",
        num_bits=_BITS,
        sample_rate=_TRAINED_ON,
        max_iterations=_ROUNDS,
        target_partition_size=_PARTITION_ROWS,
    )
    handle.create_index("vector", config=config, replace=True)
    return _measured(handle)


def search_index(handle: Any, query: Vector, limit: int, index: VectorIndex) -> Any:  # noqa: ANN401
    """Return a search that looks into as many partitions as the measured recall needs."""
    probes = index.probes * max(1, limit // _HITS_PER_PROBES)
    search = handle.search(query, vector_column_name="vector").distance_type("cosine")
    return search.nprobes(probes).refine_factor(_REFINED).limit(limit)


def narrowed(search: Any, condition: str) -> Any:  # noqa: ANN401
    """Return a search among the rows for which a condition holds.

    Where the partitions it looks into hold too few of them it goes on to the others; allowing that
    without a condition would cost it five times the time.
    """
    return search.where(condition).maximum_nprobes(0)


def search_all(handle: Any, query: Vector, limit: int) -> Any:  # noqa: ANN401
    """Return a search that compares all vectors."""
    search = handle.search(query, vector_column_name="vector").distance_type("cosine")
    return search.bypass_vector_index().limit(limit)


def similarities(vectors: pa.Array, query: Vector) -> Vector:
    """Return the cosine of each vector to the query, 0 for a null: (rows,) float32.

    Lance computes in the stored type; this is exact.
    """
    present = ~vectors.is_null().to_numpy(zero_copy_only=False)
    similar = np.zeros(len(vectors), np.float32)
    if present.any():
        matrix = _matrix(vectors.drop_null())
        lengths = np.linalg.norm(matrix, axis=1) * np.linalg.norm(query)
        similar[present] = (matrix @ query) / np.maximum(lengths, np.finfo(np.float32).tiny)
    return similar


def _measured(handle: Any) -> VectorIndex:  # noqa: ANN401
    """Return how many partitions to look into for enough recall, and the recall."""
    queries = _stand_ins(handle)
    bars = _similarity_of_the_last(handle, queries)
    recall = 1.0
    for probes in _PROBES:
        index = VectorIndex(recall, probes)
        tried = zip(queries, bars, strict=True)
        recall = float(np.mean([_share(handle, query, bar, index) for query, bar in tried]))
        if recall >= _ENOUGH:
            break
    return VectorIndex(recall, probes)


def _stand_ins(handle: Any) -> VectorMatrix:  # noqa: ANN401
    """Return vectors that are as hard to find neighbours for as questions: (n, dim) float32.

    Each lies between two rows from far apart in the table. Rows themselves would promise too much:
    where 5 partitions gave a recall of 0.99 for rows, it was 0.80 for these and 0.85 for questions.
    """
    rows = int(handle.count_rows())
    offsets = [(2 * number + 1) * rows // (4 * _SAMPLE) for number in range(2 * _SAMPLE)]
    column = handle.take_offsets(offsets).select(["vector"]).to_arrow()["vector"]
    vectors = _unit(_matrix(column.combine_chunks().drop_null()))
    half = len(vectors) // 2
    return _unit(vectors[:half] + vectors[half : 2 * half])


def _similarity_of_the_last(handle: Any, queries: VectorMatrix) -> Vector:  # noqa: ANN401
    """Return for each query the cosine of the last of its nearest: (n,) float32, in one pass."""
    best = np.full((len(queries), _NEAREST), -2, np.float32)
    for batch in handle.search().where("vector IS NOT NULL").select(["vector"]).to_batches():
        similar = queries @ _unit(_matrix(batch["vector"])).T
        both = np.concatenate([best, similar], axis=1)
        best = np.partition(both, -_NEAREST, axis=1)[:, -_NEAREST:]
    return best[:, 0]


def _share(handle: Any, query: Vector, bar: float, index: VectorIndex) -> float:  # noqa: ANN401
    """Return the share of the nearest that the index finds; any of equal ones will do."""
    search = search_index(handle, query, _NEAREST, index).select(["vector", "_distance"])
    found = search.to_arrow()["vector"].combine_chunks()
    return float((similarities(found, query) >= bar - _TIE).sum() / _NEAREST)


def _matrix(vectors: pa.Array) -> VectorMatrix:
    """Return a column without nulls as (rows, dim) float32."""
    flat = vectors.flatten().to_numpy(zero_copy_only=False)
    matrix: VectorMatrix = flat.reshape(len(vectors), -1).astype(np.float32)
    return matrix


def _unit(matrix: VectorMatrix) -> VectorMatrix:
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    unit: VectorMatrix = matrix / np.maximum(lengths, np.finfo(np.float32).tiny)
    return unit
