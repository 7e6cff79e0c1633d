"""Measure one point of a sweep: a loaded model, a sample and a batch size."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from localembed.bench.sample import Sample
from localembed.embedding import ModelShape
from localembed.embedding.engines.hardware import device_peak
from localembed.embedding.engines.matmul import matmul_rate
from localembed.embedding.local_embedder import LocalEmbedder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from localembed.types.arrays import IntArray

_MAX_BATCHES = 100
"""Maximum number of batches timed one by one."""
_KNEE_SHARE = 0.97
"""Share of the highest rate that the knee must reach."""


@dataclass(frozen=True, slots=True)
class Point:
    """The measurements of one combination."""

    engine: str
    device: str
    precision: str
    threads: int
    sample: str
    mean_tokens: float
    """Mean tokens per text, including special tokens."""
    batch_tokens: int
    chunks_per_second: float
    tokens_per_second: float
    p50_ms: float
    """Median latency of single batches."""
    p95_ms: float
    padding: float
    """Share of padding in the computed tokens."""
    host_bytes: int | None
    """Peak memory of the process during the measurement."""
    device_bytes: int | None
    """Peak memory of tensors on a GPU."""
    share_of_matmul: float | None
    """Share of this machine's matrix multiplication rate in this precision."""


def measure(
    embedder: LocalEmbedder,
    sample: Sample,
    batch_tokens: int,
    *,
    seconds: float,
    threads: int,
    shape: ModelShape,
) -> Point:
    """Embed for about `seconds` seconds and return the measurements."""
    limited = embedder.with_budget(batch_tokens)
    engine = embedder.engine
    engine.collect([engine.submit(limited.batches(sample.ids)[0])])
    device_peak(engine.device)
    _reset_peak()
    times = _batch_times(limited, sample.ids, seconds / 2)
    texts = _enough_texts(sample.ids, seconds / 2, limited, times)
    begin = time.perf_counter()
    limited.embed_ids(texts)
    elapsed = time.perf_counter() - begin
    use = limited.use
    mean = use.tokens / len(texts)
    rate = use.tokens / elapsed
    flops = rate * shape.flops_per_token(mean)
    share = None
    if shape.matmul_weights and not shape.is_static:
        share = flops / matmul_rate(engine.device, engine.precision, threads)
    return Point(
        engine=engine.name,
        device=engine.device,
        precision=engine.precision,
        threads=threads,
        sample=sample.name,
        mean_tokens=mean,
        batch_tokens=batch_tokens,
        chunks_per_second=len(texts) / elapsed,
        tokens_per_second=rate,
        p50_ms=float(np.percentile(times, 50)) * 1000,
        p95_ms=float(np.percentile(times, 95)) * 1000,
        padding=use.padding,
        host_bytes=_peak(),
        device_bytes=device_peak(engine.device),
        share_of_matmul=share,
    )


def knee(points: Sequence[Point]) -> Point:
    """Return the smallest batch size within 3% of the fastest: larger ones only take memory."""
    best = max(point.chunks_per_second for point in points)
    good = [point for point in points if point.chunks_per_second >= _KNEE_SHARE * best]
    return min(good, key=lambda point: (point.batch_tokens, -point.chunks_per_second))


def largest_batch(embedder: LocalEmbedder, sample: Sample, start: int) -> int:
    """Return the largest batch size, doubling from `start`, that fits on the device."""
    engine, budget = embedder.engine, start
    while True:
        count = max(1, 2 * budget // len(sample.ids[0]))
        items = [sample.ids[number % len(sample.ids)] for number in range(count)]
        try:
            engine.collect([engine.submit(items)])
        except Exception as error:
            if not engine.is_out_of_memory(error):
                raise
            break
        budget *= 2
    engine.free()
    return budget


def _batch_times(embedder: LocalEmbedder, ids: Sequence[IntArray], seconds: float) -> list[float]:
    """Return the seconds that single batches take one by one."""
    engine = embedder.engine
    times: list[float] = []
    deadline = time.perf_counter() + seconds
    for batch in _spread(embedder.batches(ids)):
        begin = time.perf_counter()
        engine.collect([engine.submit(batch)])
        times.append(time.perf_counter() - begin)
        if time.perf_counter() > deadline:
            break
    return times


def _spread(batches: list[list[IntArray]]) -> list[list[IntArray]]:
    """Return a random selection of batches, so that all lengths are measured in limited time."""
    rng = np.random.default_rng(1)
    order = rng.permutation(len(batches))[:_MAX_BATCHES]
    return [batches[index] for index in order]


def _enough_texts(
    ids: Sequence[IntArray], seconds: float, embedder: LocalEmbedder, times: Sequence[float]
) -> list[IntArray]:
    """Return as many texts as take about `seconds`, estimated from the times of single batches."""
    batches = embedder.batches(ids)
    per_text = float(np.mean(times)) * len(batches) / len(ids)
    count = min(max(8, int(seconds / max(per_text, 1e-9))), 20 * len(ids))
    return [ids[number % len(ids)] for number in range(count)]


def _reset_peak() -> None:
    """Reset the peak memory that Linux counts for this process."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def _peak() -> int | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(x.split()[1]) * 1024 for x in lines if x.startswith("VmHWM")), None)
