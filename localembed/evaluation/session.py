"""Run every question in every mode, and average the metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from localembed.evaluation import metrics
from localembed.evaluation.questions import Question
from localembed.types.queries import Query, SearchMode
from localembed.workspace.workspace import Workspace

if TYPE_CHECKING:
    from localembed.evaluation.metrics import FloatArray

MODES: tuple[SearchMode, ...] = ("vector", "text", "hybrid")
FIGURES = ("ndcg@10", "recall@100", "mrr@10")
_TOP_K = 300
"""Number of chunks per query, so that at least a hundred documents are likely among them."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The metrics of one mode, each an array over the questions."""

    figures: Mapping[str, FloatArray]

    def mean(self, figure: str) -> float:
        """Return the mean over the questions."""
        return float(self.figures[figure].mean())

    def interval(self, figure: str) -> tuple[float, float]:
        """Return the 95% interval of the mean."""
        return metrics.interval(self.figures[figure])


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference in nDCG@10 of two rankings of the same questions."""

    values: FloatArray

    @property
    def mean(self) -> float:
        """Mean difference."""
        return float(self.values.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval of the mean; if it contains 0, the difference may be chance."""
        return metrics.interval(self.values)


def evaluate(
    workspace: Workspace,
    questions: Sequence[Question],
    modes: Sequence[SearchMode],
    of: Query,
    on_question: Callable[[], None],
) -> dict[SearchMode, Measured]:
    """Return the metrics of every mode.

    Args:
        workspace: the indexed workspace.
        questions: at least one.
        modes: the search modes.
        of: selects the model and version; its other fields are ignored.
        on_question: called after each question.
    """
    rows: dict[SearchMode, list[tuple[float, ...]]] = {mode: [] for mode in modes}
    of = replace(of, top_k=_TOP_K, per_file=workspace.settings.settings.per_file)
    for question in questions:
        for mode in modes:
            query = replace(of, text=question.text, mode=mode)
            hits = workspace.search(query).hits
            rows[mode].append(_scores(question, question.gains(hits)))
        on_question()
    return {mode: Measured(_columns(scores)) for mode, scores in rows.items()}


def _scores(question: Question, gains: Sequence[int]) -> tuple[float, ...]:
    """Return the metrics in the order of FIGURES."""
    grades = [target.grade for target in question.targets]
    return (
        metrics.ndcg(gains, grades, 10),
        metrics.recall(gains, grades, 100),
        metrics.reciprocal_rank(gains, 10),
    )


def _columns(rows: Sequence[tuple[float, ...]]) -> dict[str, FloatArray]:
    matrix = np.array(rows, np.float64)
    return {figure: matrix[:, place] for place, figure in enumerate(FIGURES)}


def difference(new: Measured, old: Measured) -> Difference:
    """Return how much better `new` is than `old`, question by question."""
    return Difference(new.figures["ndcg@10"] - old.figures["ndcg@10"])


def better_part(modes: Mapping[SearchMode, Measured]) -> SearchMode | None:
    """Return the better of the modes that hybrid combines, None if one was not measured."""
    parts: tuple[SearchMode, ...] = ("vector", "text")
    if not all(part in modes for part in parts):
        return None
    return max(parts, key=lambda part: modes[part].mean("ndcg@10"))
