"""The vector index of a large table: build it, measure it against exact search, search it.

IVF with RaBitQ's four bits for each number (Gao and Long, SIGMOD 2024), of which the nearest are
compared exactly. All that its recall needs is to look into enough partitions: how many is measured
here (see docs/decisions/storage.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from localembed.types.tables import VectorIndex

if TYPE_CHECKING:
    import numpy.typing as npt
    import pyarrow as pa

    from localembed.types.arrays import Vector, VectorMatrix


_BITS = 4
_SAMPLE_RATE, _MAX_ITERATIONS = 64, 20
"""Sampled rows per partition and k-means passes: enough, and the index builds in half the time."""
_PARTITION_ROWS = 4096
_MEASURED_QUERIES, _NEIGHBOURS = 50, 10
_PROBES = (10, 20, 40, 80, 160, 320)
_MIN_RECALL = 0.99
_REFINE_FACTOR = 2
"""Candidates from the index that are compared exactly, per result."""
_HITS_PER_PROBES = 100
_TOLERANCE = 1e-5


def build_vector_index(handle: Any) -> VectorIndex:  # noqa: ANN401 - lancedb ships no types
    """Build the vector index of an open table, replacing any existing one, and measure it."""
    from lancedb.index import IvfRq

    config = IvfRq(
        distance_type="cosine",
        num_bits=_BITS,
        sample_rate=_SAMPLE_RATE,
        max_iterations=_MAX_ITERATIONS,
        target_partition_size=_PARTITION_ROWS,
    )
    handle.create_index("vector", config=config, replace=True)
    return _measure(handle)


def search_index(handle: Any, query: Vector, limit: int, index: VectorIndex) -> Any:  # noqa: ANN401
    """Return a search that probes as many partitions as the measured recall needs."""
    probes = index.probes * max(1, limit // _HITS_PER_PROBES)
    search = handle.search(query, vector_column_name="vector").distance_type("cosine")
    return search.nprobes(probes).refine_factor(_REFINE_FACTOR).limit(limit)


def narrowed(search: Any, condition: str) -> Any:  # noqa: ANN401
    """Return a search among the rows that match a condition.

    If the probed partitions hold too few of them, it goes on to the others; without a condition,
    allowing that would make it take five times as long.
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
        similar[present] = cosines(unit(_matrix(vectors.drop_null())), unit(query))
    return similar


def unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return one vector, (dim,), or rows, (n, dim), at length 1; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: npt.NDArray[np.float32] = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scaled


def cosines(rows: VectorMatrix, query: Vector) -> Vector:
    """Return the cosine of rows to a query, all of length 1: (n,) float32.

    Each row is summed alone. With BLAS, the last digits depend on the rows beside it, so that the
    same query would show other scores once vectors are in memory.
    """
    found: Vector = np.einsum("ij,j->i", rows, query)
    return found


def _measure(handle: Any) -> VectorIndex:  # noqa: ANN401
    """Return how many partitions to probe for enough recall, and the recall."""
    queries = _synthetic_queries(handle)
    thresholds = _nearest_similarities(handle, queries)
    recall = 1.0
    for probes in _PROBES:
        index = VectorIndex(recall, probes)
        pairs = zip(queries, thresholds, strict=True)
        recall = float(
            np.mean([_recall(handle, query, threshold, index) for query, threshold in pairs])
        )
        if recall >= _MIN_RECALL:
            break
    return VectorIndex(recall, probes)


def _synthetic_queries(handle: Any) -> VectorMatrix:  # noqa: ANN401
    """Return vectors whose neighbours are as hard to find as those of queries: (n, dim) float32.

    Each is the mean of two rows from far apart in the table. Rows themselves would overestimate the
    recall: where 5 partitions gave 0.99 for rows, it was 0.80 for these and 0.85 for queries.
    """
    rows = int(handle.count_rows())
    offsets = [
        (2 * number + 1) * rows // (4 * _MEASURED_QUERIES)
        for number in range(2 * _MEASURED_QUERIES)
    ]
    column = handle.take_offsets(offsets).select(["vector"]).to_arrow()["vector"]
    vectors = unit(_matrix(column.combine_chunks().drop_null()))
    half = len(vectors) // 2
    return unit(vectors[:half] + vectors[half : 2 * half])


def _nearest_similarities(handle: Any, queries: VectorMatrix) -> Vector:  # noqa: ANN401
    """Return each query's cosine to the last of its neighbours, in one pass: (n,) float32."""
    best = np.full((len(queries), _NEIGHBOURS), -2, np.float32)
    for batch in handle.search().where("vector IS NOT NULL").select(["vector"]).to_batches():
        similar = queries @ unit(_matrix(batch["vector"])).T
        both = np.concatenate([best, similar], axis=1)
        best = np.partition(both, -_NEIGHBOURS, axis=1)[:, -_NEIGHBOURS:]
    return best[:, 0]


def _recall(handle: Any, query: Vector, threshold: float, index: VectorIndex) -> float:  # noqa: ANN401
    """Return the share of the nearest neighbours that the index finds; ties count as found."""
    search = search_index(handle, query, _NEIGHBOURS, index).select(["vector", "_distance"])
    found = search.to_arrow()["vector"].combine_chunks()
    return float((similarities(found, query) >= threshold - _TOLERANCE).sum() / _NEIGHBOURS)


def _matrix(vectors: pa.Array) -> VectorMatrix:
    """Return a column without nulls as (rows, dim) float32."""
    flat = vectors.flatten().to_numpy(zero_copy_only=False)
    matrix: VectorMatrix = flat.reshape(len(vectors), -1).astype(np.float32)
    return matrix
