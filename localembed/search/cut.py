"""Drop the hits that are below what a query asks for."""

from __future__ import annotations

from dataclasses import replace

from localembed.errors import UsageError
from localembed.types.queries import QueryResult


def cut(result: QueryResult, min_score: float | None, min_confidence: float | None) -> QueryResult:
    """Return a result without the hits below a score or a confidence.

    Raises:
        UsageError: a confidence is asked for, and the hits have none.
    """
    hits = result.hits
    if min_confidence is not None and hits and hits[0].confidence is None:
        message = (
            f"There is no calibration for the model {result.model} in mode {result.mode}, so hits "
            "have no confidence. To fit one to questions of your own: localembed eval --calibrate "
            "QUESTIONS"
        )
        raise UsageError(message)
    return replace(
        result,
        hits=tuple(
            hit
            for hit in hits
            if (min_score is None or hit.score >= min_score)
            and (min_confidence is None or (hit.confidence or 0.0) >= min_confidence)
        ),
    )
