"""Fit the confidence of the packaged model, and measure it on sets it was not fitted to.

    python -m benchmarks.confidence.measure --fit A B --test C D --out FILE [--write]

A set is a folder with `docs` and `questions.tsv` (see `question_sets`), or one in BEIR's layout, of
which `queries_train.jsonl` and `qrels_train.tsv` are used to fit. `--write` replaces the table in
the package. Half of the questions in nonsense.txt are fitted to, as wrong whatever is found; the
others have to stay below the median of the right hits.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

import localembed
from benchmarks.machine import publish
from localembed.evaluation.calibration import fit, reliability
from localembed.evaluation.collection import lay_out
from localembed.evaluation.questions import (
    Question,
    is_collection,
    read_collection,
    read_questions,
)
from localembed.evaluation.session import MODES
from localembed.search import calibrations
from localembed.search.confidence import FEATURES, Calibration
from localembed.types.queries import GOOD, Query, SearchMode
from localembed.workspace.workspace import Workspace

FloatArray = npt.NDArray[np.float64]
_NONSENSE = Path(__file__).with_name("nonsense.txt").read_text().splitlines()
_HALF = len(_NONSENSE) // 2


@dataclass(frozen=True)
class Judged:
    """The first hits of one set in one mode."""

    features: FloatArray
    right: FloatArray
    nonsense: FloatArray
    """Features of the first hits of nonsense questions."""


def main() -> None:
    """Fit, measure and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit", type=Path, nargs="+", required=True)
    parser.add_argument("--test", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    fitted = [_judge(folder, _NONSENSE[:_HALF], fits=True) for folder in arguments.fit]
    tested = [_judge(folder, _NONSENSE[_HALF:], fits=False) for folder in arguments.test]
    found, table = {}, []
    for mode in MODES:
        sets = [judged[mode] for judged in fitted]
        features = np.concatenate([part for s in sets for part in (s.features, s.nonsense)])
        right = np.concatenate([np.r_[s.right, np.zeros(len(s.nonsense))] for s in sets])
        intercept, weights = fit(features, right)
        by_name = dict(zip(FEATURES, (round(w, 6) for w in weights.tolist()), strict=True))
        table.append(
            Calibration("all-MiniLM-L6-v2", mode, len(right), round(intercept, 6), by_name)
        )
        found[mode] = _measure(table[-1], arguments.test, [judged[mode] for judged in tested])
    publish({"fitted_to": table[0].questions, "modes": found}, arguments.out)
    if arguments.write:
        rows = {"format": 1, "calibrations": [asdict(entry) for entry in table]}
        Path(calibrations.__file__).with_suffix(".json").write_text(
            f"{json.dumps(rows, indent=1)}\n"
        )


def _measure(
    calibration: Calibration, folders: Sequence[Path], sets: Sequence[Judged]
) -> dict[str, object]:
    """Return how reliable a calibration is on each set, and on all of them together."""

    def confidence(features: FloatArray) -> FloatArray:
        return np.array([calibration.confidence(row) for row in features.tolist()])

    figures: dict[str, object] = {}
    together = [np.concatenate([getattr(s, name) for s in sets]) for name in Judged.__annotations__]
    for name, judged in (
        *zip((f.name for f in folders), sets, strict=True),
        ("all", Judged(*together)),
    ):
        likely, nonsense = confidence(judged.features), confidence(judged.nonsense)
        median = float(np.median(likely[judged.right == 1]))
        figures[name] = {
            **_rounded(asdict(reliability(likely, judged.right))),
            "median_of_right": round(median, 4),
            "nonsense": len(nonsense),
            "nonsense_above_median": int((nonsense > median).sum()),
            "nonsense_good": round(float((nonsense >= GOOD).mean()), 4),
            "right_good": round(float((likely[judged.right == 1] >= GOOD).mean()), 4),
        }
    return figures


def _rounded(figures: dict[str, object]) -> dict[str, object]:
    bins = [
        [round(number, 4) for number in row] for row in cast("list[list[float]]", figures["bins"])
    ]
    plain = {k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items()}
    return {**plain, "bins": bins}


def _judge(folder: Path, nonsense: Sequence[str], *, fits: bool) -> dict[SearchMode, Judged]:
    """Index a set, and return the first hits of its questions and of nonsense."""
    with tempfile.TemporaryDirectory(prefix="le-") as name:
        home = Path(name)
        workspace, questions = _open(folder, home, fits=fits)
        workspace.index([home / "docs"], options={"no_ignore": True})
        return {mode: _first_hits(workspace, questions, nonsense, mode) for mode in MODES}


def _open(folder: Path, home: Path, *, fits: bool) -> tuple[Workspace, Sequence[Question]]:
    if not is_collection(folder):
        shutil.copytree(folder / "docs", home / "docs")
        shutil.copy(folder / "questions.tsv", home)
        return localembed.open(home), read_questions(home / "questions.tsv")
    for name in ("corpus.jsonl", "queries.jsonl", "qrels.tsv"):
        source = name.replace(".", "_train.") if fits and name != "corpus.jsonl" else name
        shutil.copy(folder / source, home / name)
    return localembed.open(home), read_collection(home, lay_out(home, home / "docs"))


def _first_hits(
    workspace: Workspace, questions: Sequence[Question], nonsense: Sequence[str], mode: SearchMode
) -> Judged:
    features, right = [], []
    for question in questions:
        for hit in workspace.search(Query(question.text, mode, top_k=3)).hits[:1]:
            features.append(hit.features)
            right.append(any(target.is_in(hit) for target in question.targets))
    odd = [
        hit.features
        for text in nonsense
        for hit in workspace.search(Query(text, mode, top_k=3)).hits[:1]
    ]
    return Judged(np.array(features), np.array(right, np.float64), np.array(odd))


if __name__ == "__main__":
    main()
