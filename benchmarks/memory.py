"""Peak memory of the indexing process against the size of the corpus.

    python -m benchmarks.memory --out benchmarks/results/memory.json

Two folders of generated English-like text, one thirty times the other, are indexed by the real
command line with the deterministic fake model, each in a process of its own. The peak resident set
of the large one should be within 10% of the small one's: memory is bounded by settings, not by the
corpus. Reads /proc, so it runs on Linux.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.generated import FILE_BYTES, environment, peak_megabytes, write_corpus
from benchmarks.machine import publish


def measure(megabytes: int) -> dict[str, object]:
    """Index one corpus in a child process and return its peak memory and report."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        docs = folder / "docs"
        docs.mkdir()
        files = megabytes * 1_000_000 // FILE_BYTES
        write_corpus(docs, files, seed=megabytes)
        begin = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.fake_cli", "index", str(docs), "--json"],
            env=environment(folder),
            stdout=subprocess.PIPE,
        )
        peak = peak_megabytes(child)
        output = child.stdout.read() if child.stdout else b""
        if child.returncode:
            message = f"indexing {megabytes} MB failed with status {child.returncode}"
            raise SystemExit(message)
        report = json.loads(output)
    return {
        "megabytes": megabytes,
        "files": files,
        "chunks": report["chunks"]["total"],
        "seconds": round(time.perf_counter() - begin, 1),
        "peak_rss_mb": round(peak, 1),
        "stages": report["stages"],
    }


def main() -> None:
    """Measure both corpora and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", type=int, default=10, help="megabytes")
    parser.add_argument("--large", type=int, default=300, help="megabytes")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = [measure(arguments.small), measure(arguments.large)]
    small, large = (float(str(row["peak_rss_mb"])) for row in rows)
    publish({"rows": rows, "ratio": round(large / small, 3)}, arguments.out)


if __name__ == "__main__":
    main()
