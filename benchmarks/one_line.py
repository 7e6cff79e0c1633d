"""Chunking a document that is one line: time and memory must grow no faster than the text.

    python -m benchmarks.one_line --out benchmarks/results/one-line.json

Each size runs in a process of its own with the packaged model's tokenizer.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.machine import publish

SIZES = (10, 50, 200)


def chunk(megabytes: int) -> dict[str, object]:
    """Embed one line of words of this size."""
    from localembed import models
    from localembed.chunking import clean
    from localembed.chunking.chunker import Chunker
    from localembed.chunking.rules import ChunkRules
    from localembed.embedding import load_tokenizer
    from localembed.types.documents import Document

    rng = random.Random(1)
    words = [
        "".join(rng.choices("abcdefghiklmnoprstuvw", k=rng.randint(2, 9))) for _ in range(5000)
    ]
    text = " ".join(rng.choices(words, k=megabytes * 1_000_000 // 6))[: megabytes * 1_000_000]
    model = models.open_model("all-MiniLM-L6-v2")
    chunker = Chunker(load_tokenizer(model.spec, model.folder), clean.clean, ChunkRules(254, 32))
    document = Document(b"d" * 16, "r", b"line.txt", text, b"", "text", 0)
    begin = time.perf_counter()
    chunks = chunker([document])[0].chunks
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "megabytes": megabytes,
        "chunks": len(chunks),
        "seconds": round(seconds, 1),
        "megabytes_per_second": round(megabytes / seconds, 2),
        "peak_rss_mb": round(peak / 1024),
    }


def main() -> None:
    """Measure every size and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, help="only this size, in this process")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.size:
        print(json.dumps(chunk(arguments.size)))
        return
    rows = []
    for size in SIZES:
        command = [sys.executable, "-m", "benchmarks.one_line", "--size", str(size)]
        rows.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    publish({"rows": rows}, arguments.out)


if __name__ == "__main__":
    main()
