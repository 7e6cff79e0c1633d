"""How good a ranking is, as trec_eval defines it, and how sure the average is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    FloatArray = npt.NDArray[np.float64]

_SAMPLES = 2000
_SEED = 20


def ndcg(gains: Sequence[int], grades: Sequence[int], depth: int) -> float:
    """Return the discounted gain of the first places over the best that was possible.

    Args:
        gains: the grade of what stands at each place, 0 where it is wrong.
        grades: of everything that is right, wherever it was found.
        depth: how many places count.
    """
    return _gain(gains, depth) / _gain(sorted(grades, reverse=True), depth)


def recall(gains: Sequence[int], grades: Sequence[int], depth: int) -> float:
    """Return the share of what is right that stands on the first places."""
    return sum(gain > 0 for gain in gains[:depth]) / len(grades)


def reciprocal_rank(gains: Sequence[int], depth: int) -> float:
    """Return one over the place of the first that is right, 0 if none is."""
    return next((1 / place for place, gain in enumerate(gains[:depth], 1) if gain > 0), 0.0)


def interval(values: FloatArray) -> tuple[float, float]:
    """Return where the mean lies with 95%: the percentile bootstrap over questions (Efron 1979).

    Given the differences of two rankings on the same questions, this is the paired test: they
    differ by more than chance where 0 lies outside.
    """
    rng = np.random.default_rng(_SEED)
    n = len(values)
    means = [float(values[rng.integers(0, n, n)].mean()) for _ in range(_SAMPLES)]
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def _gain(grades: Sequence[int], depth: int) -> float:
    return float(sum(grade / np.log2(place + 2) for place, grade in enumerate(grades[:depth])))
