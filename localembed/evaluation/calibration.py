"""Fit the confidence of hits to questions with known answers, and measure how reliable it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from localembed.errors import UsageError
from localembed.search.confidence import FEATURES, Calibration

if TYPE_CHECKING:
    from localembed.evaluation.questions import Question
    from localembed.types.queries import Query, SearchHit, SearchMode
    from localembed.workspace.workspace import Workspace

    FloatArray = npt.NDArray[np.float64]

MIN_QUESTIONS = 50
"""Minimum number of questions, and of right and of wrong first hits a fifth of it."""
_PENALTY = 1.0
"""Weight of the squared weights (ridge), which keeps those of features that say the same finite."""
_FOLDS = 5
_BINS = 10
_STEPS = 50
_SMALL = 1e-8


@dataclass(frozen=True, slots=True)
class Reliability:
    """How well confidences predict which first hits are right."""

    questions: int
    right: float
    """Share of first hits that are right."""
    brier_skill: float
    """How much less the squared error is than that of always predicting the share: 1 is perfect,
    0 no better (Brier 1950)."""
    auroc: float
    """Probability that a right hit has a higher confidence than a wrong one."""
    error: float
    """Expected calibration error: mean difference of confidence and share of right hits, over ten
    groups of equally many questions in the order of their confidence."""
    bins: tuple[tuple[float, float, int], ...]
    """Mean confidence, share of right hits and number of questions of each group."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A calibration, and how reliable it is for questions it was not fitted to."""

    calibration: Calibration
    reliability: Reliability


def calibrate(
    workspace: Workspace,
    questions: Sequence[Question],
    modes: Sequence[SearchMode],
    of: Query,
    on_question: Callable[[], None],
) -> list[Fitted]:
    """Fit a calibration for each mode to the first hits of questions.

    Args:
        workspace: the indexed workspace.
        questions: questions with their answers.
        modes: the search modes.
        of: selects the model.
        on_question: called after each question.

    Raises:
        UsageError: there are too few questions, or nearly all first hits are right or wrong.
    """
    if len(questions) < MIN_QUESTIONS:
        message = (
            f"A calibration needs {MIN_QUESTIONS} questions or more; there are {len(questions)}."
        )
        raise UsageError(message)
    rows: dict[SearchMode, list[tuple[SearchHit, bool]]] = {mode: [] for mode in modes}
    model = ""
    for question in questions:
        for mode in modes:
            found = workspace.search(replace(of, text=question.text, mode=mode, top_k=3))
            model = found.model
            counted = (hit for hit in found.hits if hit.path not in question.not_counted)
            if first := next(counted, None):
                right = any(target.is_in(first) for target in question.targets)
                rows[mode].append((first, right))
        on_question()
    return [_fitted(model, mode, found) for mode, found in rows.items()]


def _fitted(model: str, mode: SearchMode, found: Sequence[tuple[SearchHit, bool]]) -> Fitted:
    features = np.array([hit.features for hit, _ in found], np.float64)
    right = np.array([is_right for _, is_right in found], np.float64)
    if min(right.sum(), len(right) - right.sum()) < MIN_QUESTIONS / 5:
        message = (
            f"Of {len(right)} first hits in mode {mode}, {int(right.sum())} are right: a "
            f"calibration needs {MIN_QUESTIONS // 5} of each kind. Ask more questions, and some "
            "that are harder or that nothing answers well."
        )
        raise UsageError(message)
    held_out = np.empty(len(right))
    for fold in range(_FOLDS):
        out = np.arange(len(right)) % _FOLDS == fold
        intercept, weights = fit(features[~out], right[~out])
        held_out[out] = _sigmoid(intercept + features[out] @ weights)
    intercept, weights = fit(features, right)
    by_name = dict(zip(FEATURES, weights.tolist(), strict=True))
    calibration = Calibration(model, mode, len(right), intercept, by_name)
    return Fitted(calibration, reliability(held_out, right))


def fit(features: FloatArray, right: FloatArray) -> tuple[float, FloatArray]:
    """Return the intercept and weights of a logistic regression with a ridge penalty.

    Newton's method, on features of mean 0 and deviation 1; the weights are of those given.

    Args:
        features: (n, number of features) float64.
        right: (n,) float64, 1 where the event happened, else 0.
    """
    mean, deviation = features.mean(0), features.std(0)
    deviation[deviation < _SMALL] = np.inf  # a constant feature has no weight
    inputs = np.column_stack((np.ones(len(features)), (features - mean) / deviation))
    penalty = _PENALTY * np.diag([0.0, *np.ones(features.shape[1])])
    weights = np.zeros(inputs.shape[1])
    for _ in range(_STEPS):
        likely = _sigmoid(inputs @ weights)
        gradient = inputs.T @ (likely - right) + penalty @ weights
        curvature = (inputs.T * (likely * (1 - likely))) @ inputs + penalty
        step = np.linalg.solve(curvature, gradient)
        weights -= step
        if np.abs(step).max() < _SMALL:
            break
    own = weights[1:] / deviation
    return float(weights[0] - mean @ own), own


def reliability(confidence: FloatArray, right: FloatArray) -> Reliability:
    """Return how well confidences predict what was right, both (n,) float64."""
    base = float(right.mean())
    error = float(((confidence - right) ** 2).mean())
    order = np.argsort(confidence, kind="stable")
    bins = tuple(
        (float(confidence[part].mean()), float(right[part].mean()), len(part))
        for part in np.array_split(order, _BINS)
        if len(part)
    )
    return Reliability(
        questions=len(right),
        right=base,
        brier_skill=1 - error / (base * (1 - base)),
        auroc=_auroc(confidence, right),
        error=sum(abs(mean - share) * count for mean, share, count in bins) / len(right),
        bins=bins,
    )


def _auroc(values: FloatArray, right: FloatArray) -> float:
    """Return the probability that a right value is above a wrong one; ties count half."""
    above, below = values[right == 1], np.sort(values[right == 0])
    lower = np.searchsorted(below, above, "left")
    upper = np.searchsorted(below, above, "right")
    return float((lower + upper).mean() / 2 / len(below))


def _sigmoid(values: FloatArray) -> FloatArray:
    likely: FloatArray = 1 / (1 + np.exp(-np.clip(values, -50, 50)))
    return likely
