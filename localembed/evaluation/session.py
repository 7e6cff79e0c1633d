"""Ask every question in every mode, and average what was found."""

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
_CHUNKS = 300
"""Asked for, so that a hundred documents come together."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One mode's figures, each an array over the questions."""

    figures: Mapping[str, FloatArray]

    def mean(self, figure: str) -> float:
        """Return the average over the questions."""
        return float(self.figures[figure].mean())

    def interval(self, figure: str) -> tuple[float, float]:
        """Return where that average lies with 95%."""
        return metrics.interval(self.figures[figure])


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better one ranking is than another on the same questions, in nDCG@10."""

    values: FloatArray

    @property
    def mean(self) -> float:
        """The average difference."""
        return float(self.values.mean())

    @property
    def interval(self) -> tuple[float, float]:
        """Where it lies with 95%; 0 inside of it means that it may be chance."""
        return metrics.interval(self.values)


def evaluate(
    workspace: Workspace,
    questions: Sequence[Question],
    modes: Sequence[SearchMode],
    of: Query,
    on_question: Callable[[], None],
) -> dict[SearchMode, Measured]:
    """Return what every mode finds.

    Args:
        workspace: indexed.
        questions: at least one.
        modes: of search.
        of: whose model and version are asked; the rest of it does not count.
        on_question: called after each question.
    """
    rows: dict[SearchMode, list[tuple[float, ...]]] = {mode: [] for mode in modes}
    for question in questions:
        for mode in modes:
            query = replace(of, text=question.text, mode=mode, top_k=_CHUNKS)
            hits = workspace.search(query).hits
            rows[mode].append(_scores(question, question.gains(hits)))
        on_question()
    return {mode: Measured(_columns(found)) for mode, found in rows.items()}


def _scores(question: Question, gains: Sequence[int]) -> tuple[float, ...]:
    """Return the figures in the order of FIGURES."""
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
    """Return the better of the two that hybrid is made of, None if one was not measured."""
    parts: tuple[SearchMode, ...] = ("vector", "text")
    if not all(part in modes for part in parts):
        return None
    return max(parts, key=lambda part: modes[part].mean("ndcg@10"))
