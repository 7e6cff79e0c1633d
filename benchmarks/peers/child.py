"""Run one contestant in this process: `benchmarks.run` starts it, and nobody else needs to.

    python -m benchmarks.peers.child TASK.json

Writes `result.json` and, where the contestant gives its vectors back, `vectors.npy` beside it.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.peers.contract import Task, Timing, peak_megabytes

if TYPE_CHECKING:
    from benchmarks.peers.contract import Contestant


def main() -> None:
    """Load, time, and only then look at what came out."""
    order = json.loads(Path(sys.argv[1]).read_text())
    scratch = Path(order["scratch"])
    lines = Path(order["texts"]).read_text(encoding="utf-8").split("\n")
    texts = [json.loads(line)["text"] for line in lines if line]
    task = Task(texts, Path(order["model"]), scratch, order["settings"])
    module = importlib.import_module(f"benchmarks.peers.{order['module']}")
    contestant: Contestant = module.Contestant(task)
    timing = _timed(contestant, float(order["started"]))
    vectors = contestant.vectors()
    if vectors is not None:
        np.save(scratch / "vectors.npy", np.asarray(vectors, np.float32))
    result = {
        "seconds": timing.seconds,
        "process_seconds": timing.process_seconds,
        "cpu_seconds": timing.cpu_seconds,
        "peak_rss_mb": timing.peak_rss_mb,
        "facts": contestant.facts(),
        "versions": _versions(order["packages"]),
    }
    (scratch / "result.json").write_text(json.dumps(result))


def _timed(contestant: Contestant, started: float) -> Timing:
    """Time the embedding alone, and the process up to its end."""
    begin, cpu = time.perf_counter(), time.process_time()
    own = contestant.embed()
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    # The monotonic clock is one for all processes, so the parent's reading can be its start.
    return own or Timing(seconds, time.monotonic() - started, cpu, peak_megabytes())


def _versions(packages: list[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


if __name__ == "__main__":
    main()
