"""Confidence: how likely a hit answers its query, from 0 to 1.

A score orders the hits of one query, but says little between queries. The confidence is a logistic
regression over features of a hit and of all that its query found, fitted to questions whose answers
are known (Platt 1999). A calibration is valid for the model and the mode it was fitted with.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localembed.core.text import show_path
from localembed.search.fusion import TEXT_DEPTH, VECTOR_DEPTH
from localembed.search.words import text_query
from localembed.store.lance.search_text import compound_parts, normal

if TYPE_CHECKING:
    from localembed.search.ranking import Ranked
    from localembed.store.lance.candidates import StoredChunk

_MEASURED = (
    "similarity", "lead", "above", "text", "text_per_word", "text_lead", "text_above", "coverage",
    "words", "vector_rank", "text_rank", "same_file", "files", "near",
)  # fmt: skip
_SQUARED = ("similarity", "lead", "above", "text_lead", "coverage")
FEATURES = (*_MEASURED, *(f"{name}_squared" for name in _SQUARED))
"""Names of the features, in the order of `Field.features`."""

_SQUARED_PLACES = tuple(map(_MEASURED.index, _SQUARED))
_WORD = re.compile(r"[^\W_]+")
_OTHERS = 10
"""Number of other documents with which a hit is compared."""
_FIRST, _WIDE = 5, 30
"""Ranks among which documents are counted."""
_DAMPING = 20.0
_NEAR = 0.1
_NOT_RANKED = 40


@dataclass(frozen=True, slots=True)
class Calibration:
    """The weights of one model and mode."""

    model: str
    mode: str
    questions: int
    """Number of questions that it was fitted to."""
    intercept: float
    weights: Mapping[str, float]
    """Feature → weight."""

    def confidence(self, features: Sequence[float]) -> float:
        """Return how likely a hit with these features is an answer, 0 to 1."""
        total = self.intercept + sum(
            self.weights[name] * value for name, value in zip(FEATURES, features, strict=True)
        )
        return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, total))))


class Field:
    """All that a query found, with which each of its hits is compared."""

    def __init__(self, query: str, ranked: Sequence[Ranked]) -> None:
        """Set the rows that were found, best first; the field is those that any query finds."""
        ranked = [row for row in ranked if _is_in_field(row)]
        self._words = _stems(text_query(query)) or _stems(normal(query))
        self._similar = _Documents(ranked, [row.candidate.similarity for row in ranked])
        self._text = _Documents(ranked, [row.candidate.text_score for row in ranked])
        self._first = [row.candidate.doc_id for row in ranked[:_FIRST]]
        self._files = len({row.candidate.doc_id for row in ranked[:_WIDE]})

    def features(self, row: Ranked, chunk: StoredChunk) -> tuple[float, ...]:
        """Return the features of a hit, in the order of `FEATURES`.

        Args:
            row: the hit.
            chunk: its content.
        """
        found, document = row.candidate, row.candidate.doc_id
        similar, text = found.similarity, found.text_score
        rival, rivals = self._similar.others(document)
        text_rival, text_rivals = self._text.others(document)
        count = max(1, len(self._words))
        parts = f"{show_path(chunk.path)} {chunk.heading} {chunk.text}"
        held = _stems(normal(f"{parts} {compound_parts(parts)}"))
        measured = (
            similar,
            similar - rival,
            similar - rivals,
            text / (text + _DAMPING),
            text / count / 10,
            (text - text_rival) / (text + text_rival + 10),
            (text - text_rivals) / (text + 10),
            len(self._words & held) / count,
            math.log(count),
            1 / (row.vector_rank or _NOT_RANKED),
            1 / (row.text_rank or _NOT_RANKED),
            self._first.count(document) / _FIRST,
            math.log(max(1, self._files)),
            math.sqrt(self._similar.above(similar - _NEAR, document)),
        )
        return (*measured, *(measured[place] ** 2 for place in _SQUARED_PLACES))


def _is_in_field(row: Ranked) -> bool:
    """Tell whether a row is found however few hits are wanted."""
    by_vector = row.vector_rank is not None and row.vector_rank <= VECTOR_DEPTH
    return by_vector or (row.text_rank is not None and row.text_rank <= TEXT_DEPTH)


class _Documents:
    """The best value of each document."""

    def __init__(self, ranked: Sequence[Ranked], values: Sequence[float]) -> None:
        self._best: dict[bytes, float] = {}
        for row, value in zip(ranked, values, strict=True):
            document = row.candidate.doc_id
            self._best[document] = max(value, self._best.get(document, value))
        self._sorted = sorted(self._best.values())

    def others(self, document: bytes) -> tuple[float, float]:
        """Return the best value of the other documents, and the mean of the best ten."""
        best = self._sorted[-_OTHERS - 1 :]
        own = self._best.get(document)
        if own is not None and own >= best[0]:
            best.remove(own)
        best = best[-_OTHERS:] or [0.0]
        return best[-1], sum(best) / len(best)

    def above(self, value: float, document: bytes) -> int:
        """Return how many other documents have a best value of at least this."""
        count = len(self._sorted) - bisect_left(self._sorted, value)
        return count - (self._best.get(document, -math.inf) >= value)


def _stems(text: str) -> set[str]:
    """Return the words of a normal text without their endings."""
    return {word[: max(4, len(word) - 3)] for word in _WORD.findall(text)}
