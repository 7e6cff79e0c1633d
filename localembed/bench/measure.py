"""One point of a sweep: a loaded model, texts, and a budget for batches."""

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
_KNEE = 0.97


@dataclass(frozen=True, slots=True)
class Point:
    """What was measured for one combination."""

    engine: str
    device: str
    precision: str
    threads: int
    sample: str
    mean_tokens: float
    """Of a text, special tokens included."""
    batch_tokens: int
    chunks_per_second: float
    tokens_per_second: float
    p50_ms: float
    """Of one batch, begun and waited for alone."""
    p95_ms: float
    padding: float
    """Share of the work."""
    host_bytes: int | None
    """Peak of the process while this was measured."""
    device_bytes: int | None
    """Peak of a GPU's tensors."""
    share_of_matmul: float | None
    """Of the rate at which this machine multiplies matrices in this precision."""


def measure(
    embedder: LocalEmbedder,
    sample: Sample,
    batch_tokens: int,
    *,
    seconds: float,
    threads: int,
    shape: ModelShape,
) -> Point:
    """Embed for about so many seconds and return what was seen."""
    narrow = embedder.with_budget(batch_tokens)
    engine = embedder.engine
    engine.collect([engine.submit(narrow.batches(sample.ids)[0])])
    device_peak(engine.device)
    _forget_peak()
    times = _batch_times(narrow, sample.ids, seconds / 2)
    texts = _as_many(sample.ids, seconds / 2, narrow, times)
    begin = time.perf_counter()
    narrow.embed_ids(texts)
    spent = time.perf_counter() - begin
    use = narrow.use
    mean = use.tokens / len(texts)
    rate = use.tokens / spent
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
        chunks_per_second=len(texts) / spent,
        tokens_per_second=rate,
        p50_ms=float(np.percentile(times, 50)) * 1000,
        p95_ms=float(np.percentile(times, 95)) * 1000,
        padding=use.padding,
        host_bytes=_peak(),
        device_bytes=device_peak(engine.device),
        share_of_matmul=share,
    )


def knee(points: Sequence[Point]) -> Point:
    """Return the smallest budget within 3% of the fastest: more only takes memory."""
    best = max(point.chunks_per_second for point in points)
    good = [point for point in points if point.chunks_per_second >= _KNEE * best]
    return min(good, key=lambda point: (point.batch_tokens, -point.chunks_per_second))


def largest_batch(embedder: LocalEmbedder, sample: Sample, start: int) -> int:
    """Return the largest budget, doubled from `start`, that fits on the device."""
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
    """Return the seconds of single batches, each waited for."""
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
    """Return some batches of all lengths, since not all of them may be reached."""
    rng = np.random.default_rng(1)
    order = rng.permutation(len(batches))[:_MAX_BATCHES]
    return [batches[index] for index in order]


def _as_many(
    ids: Sequence[IntArray], seconds: float, embedder: LocalEmbedder, times: Sequence[float]
) -> list[IntArray]:
    """Return as many texts as take about so long, by what the single batches took."""
    batches = embedder.batches(ids)
    per_text = float(np.mean(times)) * len(batches) / len(ids)
    wanted = min(max(8, int(seconds / max(per_text, 1e-9))), 20 * len(ids))
    return [ids[number % len(ids)] for number in range(wanted)]


def _forget_peak() -> None:
    """Let Linux count the peak from now on."""
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
