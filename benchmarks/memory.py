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
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import publish

PROJECT = Path(__file__).parent.parent
FILE_BYTES = 20_000
_SYLLABLES = [a + b for a in "bcdfghklmnprstvw" for b in ("a", "e", "i", "o", "u", "an", "er")]


def write_corpus(folder: Path, megabytes: int, seed: int) -> int:
    """Write files of 20 kB each with paragraphs of made-up words; return how many."""
    rng = random.Random(seed)
    words = ["".join(rng.choices(_SYLLABLES, k=rng.randint(1, 4))) for _ in range(20_000)]
    files = megabytes * 1_000_000 // FILE_BYTES
    for number in range(files):
        parts, size = [f"# Document {number}"], 0
        while size < FILE_BYTES:
            paragraph = " ".join(rng.choices(words, k=80)) + "."
            parts.append(paragraph)
            size += len(paragraph) + 2
        path = folder / f"{number // 100:03}" / f"{number:05}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n\n".join(parts))
    return files


def measure(megabytes: int) -> dict[str, object]:
    """Index one corpus in a child process and return its peak memory and report."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        docs = folder / "docs"
        docs.mkdir()
        files = write_corpus(docs, megabytes, seed=megabytes)
        env = {
            **os.environ,
            "PYTHONPATH": str(PROJECT),
            "LOCALEMBED_MODEL": "fake-256",
            "LOCALEMBED_WORKSPACE": str(folder / "workspace"),
            **{f"XDG_{kind}_HOME": str(folder / kind) for kind in ("CONFIG", "CACHE", "DATA")},
        }
        begin = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.fake_cli", "index", str(docs), "--json"],
            env=env,
            stdout=subprocess.PIPE,
        )
        peak = _peak_megabytes(child)
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


def _peak_megabytes(child: subprocess.Popen[bytes]) -> float:
    """Wait for a process and return its own peak; what wait4 reports counts its children, too.

    The full-text index is built in a child of the indexing process, with a bound of its own.
    """
    status = Path(f"/proc/{child.pid}/status")
    peak = 0
    while child.poll() is None:
        lines = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        peak = max([peak, *(int(line.split()[1]) for line in lines)])
        time.sleep(0.05)
    return peak / 1000


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
