"""Corpora of made-up text, and processes that index them with the deterministic fake model."""

from __future__ import annotations

import os
import random
import subprocess
import time
from pathlib import Path

PROJECT = Path(__file__).parent.parent
FILE_BYTES = 20_000
_SYLLABLES = [a + b for a in "bcdfghklmnprstvw" for b in ("a", "e", "i", "o", "u", "an", "er")]


def write_corpus(folder: Path, files: int, seed: int) -> None:
    """Write files of 20 kB each, with paragraphs of made-up words that never repeat."""
    rng = random.Random(seed)
    words = ["".join(rng.choices(_SYLLABLES, k=rng.randint(1, 4))) for _ in range(20_000)]
    for number in range(files):
        parts, size = [f"# Document {number}"], 0
        while size < FILE_BYTES:
            paragraph = " ".join(rng.choices(words, k=80)) + "."
            parts.append(paragraph)
            size += len(paragraph) + 2
        path = folder / f"{number // 100:03}" / f"{number:05}.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n\n".join(parts))


def environment(folder: Path) -> dict[str, str]:
    """Return the variables of a process that keeps everything below this folder."""
    return {
        **os.environ,
        "PYTHONPATH": str(PROJECT),
        "LOCALEMBED_MODEL": "fake-256",
        "LOCALEMBED_RESIDENT_MINUTES": "0",
        "LOCALEMBED_WORKSPACE": str(folder / "workspace"),
        **{f"XDG_{kind}_HOME": str(folder / kind) for kind in ("CONFIG", "CACHE", "DATA")},
    }


def peak_megabytes(child: subprocess.Popen[bytes]) -> float:
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
