"""What a chunk costs in indexes of 1,000 to 1,000,000 chunks.

    python -m benchmarks.scaling --out benchmarks/results/scaling.json

Everything but the model is real: folders of generated files are walked, read, cut, written and
searched by the real command line, each command in a process of its own. The vectors come from the
deterministic fake model (32 numbers each, no computing worth mentioning), so what is measured is
the cost around a model. A chunk of the largest index should cost at most 1.2 times one of 10,000.
Seconds are those of a whole process, the interpreter's start included, with the files in the page
cache. Reads /proc, so it runs on Linux; a million chunks are 1.2 GB of text, deleted afterwards.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.generated import environment, peak_megabytes, write_corpus
from benchmarks.machine import publish

BASE = 10_000
"""The size that the largest is compared with."""
ASKED_RATIO = 1.2
_CHUNKS_PER_FILE = 16.2
"""Of files of 20 kB with the fake model's 254 tokens; how many there are in fact is recorded."""
_QUERIES = 3


@dataclass(frozen=True, slots=True)
class Finished:
    """One command that has run."""

    answer: Any
    """Its JSON."""
    seconds: float
    peak_rss_mb: float


def main() -> None:
    """Measure every size and publish the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chunks", default="1000,10000,100000,1000000", help="sizes, by commas")
    parser.add_argument("--folder", type=Path, help="where the corpora are made; default: /tmp")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    for size in sorted(int(text) for text in arguments.chunks.split(",")):
        rows.append(measure(size, arguments.folder))
        print(json.dumps(rows[-1]), file=sys.stderr)
    result = {
        "model": "deterministic fake, 32 numbers a vector",
        "rows": rows,
        "asked_ratio": ASKED_RATIO,
        "ratio": ratio(rows, "ms_per_chunk"),
        "ratio_in_process": ratio(rows, "ms_per_chunk_in_process"),
    }
    publish(result, arguments.out)


def measure(size: int, parent: Path | None) -> dict[str, object]:
    """Make a corpus of about so many chunks, index it, index it again and query it."""
    with tempfile.TemporaryDirectory(dir=parent, prefix="localembed-scaling-") as name:
        folder = Path(name)
        docs = folder / "docs"
        docs.mkdir()
        files = max(1, round(size / _CHUNKS_PER_FILE))
        write_corpus(docs, files, seed=size)
        first = run(folder, "index", str(docs))
        row = index_row(first, commits=int((folder / "batches").read_text()))
        row["workspace_mb"] = round(disk_bytes(folder / "workspace") / 1e6, 1)
        again = run(folder, "index")
        if again.answer["changed"]:
            message = "a second run over the same files must find nothing changed"
            raise SystemExit(message)
        row["no_change_seconds"] = round(again.seconds, 2)
        row["no_change_seconds_in_process"] = again.answer["seconds"]
        questions = sample_questions(docs)
        for mode in ("text", "vector"):
            row[f"query_{mode}_seconds"] = query_seconds(folder, mode, questions)
    return {"chunks_asked": size, "files": files, **row}


def run(folder: Path, *arguments: str) -> Finished:
    """Run one command of the command line to its end; it must succeed."""
    begin = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.counted_cli", *arguments, "--json"],
            env={**environment(folder), "COUNT_BATCHES": str(folder / "batches")},
            stdout=output,
        )
        try:
            peak = peak_megabytes(child)
        finally:
            child.kill()
            child.wait()
        seconds = time.perf_counter() - begin
        output.seek(0)
        answer = output.read()
    if child.returncode:
        message = f"localembed {' '.join(arguments)} failed with status {child.returncode}"
        raise SystemExit(message)
    return Finished(json.loads(answer), seconds, peak)


def index_row(done: Finished, commits: int) -> dict[str, object]:
    """Return what the first run over a corpus cost."""
    report = done.answer
    chunks = report["chunks"]["embedded"]
    return {
        "chunks": chunks,
        "chunks_reused": report["chunks"]["reused"],
        "bytes": report["bytes"],
        "seconds": round(done.seconds, 2),
        "ms_per_chunk": round(1000 * done.seconds / chunks, 4),
        "ms_per_chunk_in_process": round(1000 * report["seconds"] / chunks, 4),
        "commits": commits,
        "seconds_per_commit": round(report["stages"]["write"] / commits, 4),
        "peak_rss_mb": round(done.peak_rss_mb, 1),
        "stages": report["stages"],
    }


def disk_bytes(folder: Path) -> int:
    """Return what a folder's files take on the disk, in whole blocks."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def sample_questions(docs: Path) -> list[str]:
    """Return three words each from the middle of files spread over the corpus."""
    files = sorted(docs.rglob("*.md"))
    chosen = [files[(2 * number + 1) * len(files) // (2 * _QUERIES)] for number in range(_QUERIES)]
    middles = [path.read_text().split("\n\n")[20].rstrip(".").split() for path in chosen]
    return [" ".join(words[:3]) for words in middles]


def query_seconds(folder: Path, mode: str, questions: Sequence[str]) -> list[float]:
    """Return the seconds of each question, asked in a process of its own."""
    done = [run(folder, "query", question, "--mode", mode) for question in questions]
    return [round(one.seconds, 2) for one in done]


def ratio(rows: Sequence[dict[str, Any]], key: str) -> float | None:
    """Return how much more the largest costs than the base; None if the base is not there."""
    base = next((row for row in rows if row["chunks_asked"] == BASE), None)
    return round(rows[-1][key] / base[key], 3) if base else None


if __name__ == "__main__":
    main()
