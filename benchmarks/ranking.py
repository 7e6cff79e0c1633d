"""How well each mode ranks documents that are cut into chunks, as `eval` measures it.

    python -m benchmarks.ranking --data scifact --out benchmarks/results/ranking-scifact.json

`--data` is a folder in BEIR's layout. A document stands where its best chunk does; what it would be
worth to add the scores of its best few chunks is measured beside that. Differences are of nDCG@10,
question by question, with the 95% interval of their mean (bootstrap).
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.machine import publish
from localembed.evaluation import metrics
from localembed.evaluation.collection import home_of, lay_out
from localembed.evaluation.questions import Question, read_collection
from localembed.types.queries import SearchHit, SearchMode
from localembed.workspace.workspace import Workspace

_MODES: tuple[SearchMode, ...] = ("vector", "text", "hybrid")
_CHUNKS = 300
_WAYS = {"best chunk": (1, 1.0), "sum of two": (2, 1.0), "sum of three, halved": (3, 0.5)}
"""Name → how many chunks of a document count, and what each counts of the one before."""


def main() -> None:
    """Index the collection, ask its questions, and publish the averages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder in BEIR's layout")
    parser.add_argument("--model", default="all-MiniLM-L6-v2")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    home = home_of(arguments.data)
    paths = lay_out(arguments.data, home / "documents")
    workspace = Workspace(home / "workspace", {"model": arguments.model})
    report = workspace.index([home / "documents"], options={"hidden": True, "no_ignore": True})
    questions = read_collection(arguments.data, paths)
    figures = _ask(workspace, questions)
    hybrid = figures["hybrid", "best chunk"][:, 0]
    publish(
        {
            "data": arguments.data.name,
            "model": arguments.model,
            "documents": len(paths),
            "chunks": report.chunks.total,
            "questions": len(questions),
            "rows": [
                {"mode": mode, "way": way, **_averages(found)}
                for (mode, way), found in figures.items()
            ],
            "hybrid_over": {
                part: _difference(hybrid - figures[part, "best chunk"][:, 0])
                for part in ("vector", "text")
            },
        },
        arguments.out,
    )


def _ask(workspace: Workspace, questions: Sequence[Question]) -> dict[tuple[str, str], np.ndarray]:
    """Return by mode and way (questions, 3): nDCG@10, recall@100, MRR@10."""
    rows: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    for number, question in enumerate(questions, start=1):
        for mode in _MODES:
            hits = workspace.query(question.text, mode=mode, top_k=_CHUNKS)
            for way, (count, weight) in _WAYS.items():
                rows[mode, way].append(_figures(question, regrouped(hits, count, weight)))
        if not number % 100:
            print(f"{number} of {len(questions)} questions", file=sys.stderr)
    return {key: np.array(found) for key, found in rows.items()}


def regrouped(hits: Sequence[SearchHit], count: int, weight: float) -> list[SearchHit]:
    """Return the best hit of each document, ranked by the weighted sum of its best few."""
    scores: dict[str, list[float]] = defaultdict(list)
    best: dict[str, SearchHit] = {}
    for hit in hits:
        scores[hit.path].append(hit.score)
        best.setdefault(hit.path, hit)
    summed = {
        path: sum(score * weight**place for place, score in enumerate(found[:count]))
        for path, found in scores.items()
    }
    order = sorted(best, key=lambda path: -summed[path])
    return [replace(best[path], score=summed[path]) for path in order]


def _figures(question: Question, hits: Sequence[SearchHit]) -> list[float]:
    gains = question.gains(hits)
    grades = [target.grade for target in question.targets]
    return [
        metrics.ndcg(gains, grades, 10),
        metrics.recall(gains, grades, 100),
        metrics.reciprocal_rank(gains, 10),
    ]


def _averages(found: np.ndarray) -> dict[str, object]:
    ndcg, recall, mrr = (round(float(value), 4) for value in found.mean(axis=0))
    low, high = metrics.interval(found[:, 0])
    return {
        "ndcg_at_10": ndcg, "interval": [round(low, 4), round(high, 4)],
        "recall_at_100": recall, "mrr_at_10": mrr,
    }  # fmt: skip


def _difference(values: np.ndarray) -> dict[str, object]:
    low, high = metrics.interval(values)
    mean = round(float(values.mean()), 4)
    return {"ndcg_at_10": mean, "interval": [round(low, 4), round(high, 4)]}


if __name__ == "__main__":
    main()
