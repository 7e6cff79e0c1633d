"""What many small runs leave behind: disk, and the time of a query.

    python -m benchmarks.many_runs --out benchmarks/results/many-runs.json

A corpus of made-up text is indexed with a static model; then each run changes one file and adds
another. Disk is that of the whole workspace over that of a clean build of the same files, before
and after `versions gc --keep 0`. A query is one of full text and vectors in this process.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.generated import write_corpus
from benchmarks.machine import publish
from benchmarks.whole_run import make_static_model
from localembed.workspace.workspace import Workspace

_FILES = 300
_ASKED_AFTER = 60
"""Of the last runs: text index and fragments are made anew several times meanwhile."""
_QUERIES = 10


def main() -> None:
    """Index again and again, and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="le-") as name:
        folder = Path(name)
        for kind in ("CONFIG", "CACHE", "DATA"):
            os.environ[f"XDG_{kind}_HOME"] = str(folder / kind)
        make_static_model(folder / "CONFIG", dim=384)
        docs = folder / "docs"
        docs.mkdir()
        write_corpus(docs, _FILES, seed=1)
        publish(_measure(folder, docs, arguments.runs), arguments.out)


def _measure(folder: Path, docs: Path, runs: int) -> dict[str, object]:
    workspace = Workspace(folder / "workspace", {"model": "static"})
    workspace.index([docs])
    clean = Workspace(folder / "clean", {"model": "static"})
    files = sorted(path for path in docs.rglob("*") if path.is_file())
    asked_after = min(runs, _ASKED_AFTER)
    largest, seconds = 0, 0.0
    here: list[float] = []
    there: list[float] = []
    for number in range(runs):
        if number == runs - asked_after:
            clean.index([docs])
        with files[number % len(files)].open("a", encoding="utf-8") as file:
            file.write(f"\\nchanged by run {number}\\n")
        (docs / f"added{number}.txt").write_text(f"added by run {number}")
        begin = time.perf_counter()
        workspace.index()
        seconds += time.perf_counter() - begin
        if number % 10 == 9:
            largest = max(largest, workspace.layout.disk_bytes())
        if number >= runs - asked_after:
            _query_ms(workspace)  # from the second question on vectors are in memory
            _query_ms(clean)
            here.append(_query_ms(workspace))
            there.append(_query_ms(clean))
    anew = Workspace(folder / "anew", {"model": "static"})
    anew.index([docs])
    least = anew.layout.disk_bytes()
    kept = len(workspace.history.versions())
    disk = workspace.layout.disk_bytes()
    workspace.history.collect_garbage(0)
    return {
        "runs": runs,
        "chunks": workspace.status().chunks,
        "seconds_a_run": round(seconds / runs, 3),
        "versions_at_the_end": kept,
        "disk_over_clean": round(disk / least, 2),
        "largest_disk_over_clean": round(largest / least, 2),
        "disk_over_clean_after_gc": round(workspace.layout.disk_bytes() / least, 2),
        "query_p50_ms": {
            "clean build": float(np.median(there)),
            f"after each of the last {asked_after} runs": float(np.median(here)),
            "after the slowest tenth of these": round(float(np.quantile(here, 0.9)), 1),
        },
    }


def _query_ms(workspace: Workspace) -> float:
    times = []
    for number in range(_QUERIES):
        begin = time.perf_counter()
        workspace.query(f"changed by run {number}", model="static")
        times.append(time.perf_counter() - begin)
    return round(1000 * float(np.median(times)), 1)


if __name__ == "__main__":
    main()
