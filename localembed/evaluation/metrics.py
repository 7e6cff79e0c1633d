"""Ranking metrics as in trec_eval, and confidence intervals of their means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    FloatArray = npt.NDArray[np.float64]

_BOOTSTRAP_SAMPLES = 2000
_SEED = 20


def ndcg(gains: Sequence[int], grades: Sequence[int], depth: int) -> float:
    """Return the normalised discounted cumulative gain.

    Args:
        gains: the grade at each rank, 0 if not relevant.
        grades: the grades of all relevant documents, found or not.
        depth: the number of ranks that count.
    """
    return _gain(gains, depth) / _gain(sorted(grades, reverse=True), depth)


def recall(gains: Sequence[int], grades: Sequence[int], depth: int) -> float:
    """Return the share of relevant documents among the first `depth` ranks."""
    return sum(gain > 0 for gain in gains[:depth]) / len(grades)


def reciprocal_rank(gains: Sequence[int], depth: int) -> float:
    """Return the reciprocal rank of the first relevant document, 0 if there is none."""
    return next((1 / place for place, gain in enumerate(gains[:depth], 1) if gain > 0), 0.0)


def interval(values: FloatArray) -> tuple[float, float]:
    """Return a 95% interval of the mean: the percentile bootstrap over questions (Efron 1979).

    For the differences of two rankings on the same questions, this is a paired test: the rankings
    differ by more than chance if 0 is outside the interval.
    """
    rng = np.random.default_rng(_SEED)
    n = len(values)
    means = [float(values[rng.integers(0, n, n)].mean()) for _ in range(_BOOTSTRAP_SAMPLES)]
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def _gain(grades: Sequence[int], depth: int) -> float:
    return float(sum(grade / np.log2(place + 2) for place, grade in enumerate(grades[:depth])))
