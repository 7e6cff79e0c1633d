"""Find the settings of `encode` that are fastest here, on a sample of the texts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from benchmarks.machine import describe
from benchmarks.peers.contract import WORD

if TYPE_CHECKING:
    from benchmarks.peers.contract import Task

_BATCH_SIZES = (8, 16, 32, 64, 128)
_SAMPLE = 256
"""Texts: two of the largest batches."""
_PASSES = 2
"""The better one counts."""


class Contestant:
    """Every batch size in every number type that this processor computes in."""

    def __init__(self, task: Task) -> None:
        """Take texts from everywhere in the corpus, sorted by length."""
        step = max(1, len(task.texts) // _SAMPLE)
        self._texts = sorted(task.texts[::step][:_SAMPLE], key=len, reverse=True)
        self._model = str(task.model)
        self._tried: list[dict[str, object]] = []

    def embed(self) -> None:
        """Try them all."""
        for dtype in ("float32", "bfloat16") if describe()["bf16"] else ("float32",):
            self._try_sizes(dtype)

    def _try_sizes(self, dtype: str) -> None:
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(self._model, model_kwargs={"dtype": dtype})
        model.encode([WORD])
        for size in _BATCH_SIZES:
            rate = max(self._rate(model, size) for _ in range(_PASSES))
            self._tried.append(
                {"dtype": dtype, "batch_size": size, "chunks_per_second": round(rate, 1)}
            )

    def _rate(self, model: Any, size: int) -> float:  # noqa: ANN401 - sentence-transformers
        begin = time.perf_counter()
        model.encode(self._texts, batch_size=size)
        return len(self._texts) / (time.perf_counter() - begin)

    def vectors(self) -> None:
        """Return nothing: only the settings matter."""

    def facts(self) -> dict[str, object]:
        """Return the best settings, and what each gave."""
        best = max(self._tried, key=lambda row: float(str(row["chunks_per_second"])))
        return {
            "best": {key: best[key] for key in ("dtype", "batch_size")},
            "texts": len(self._texts),
            "tried": self._tried,
        }
