"""The real command line with the fake model known, for tests that need a process of their own.

`STOP_AT=name:n` kills the process with SIGKILL, or the signal that `STOP_WITH` names, when a step
of a run is reached the n-th time; `BATCH_CHUNKS=n` makes batches small, `MAX_FRAGMENTS=n` lets a
table be compacted soon.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from localembed.cli import main as command_line
from localembed.cli.render.progress import IndexProgress
from localembed.pipeline import run
from tests import fake_backend


def _stop_at(name: str, count: int, number: int) -> None:
    left = {name: count}
    original = IndexProgress.__call__

    def call(self, event: str, amount: int) -> None:
        original(self, event, amount)
        if event in left:
            left[event] -= 1
            if left[event] == 0:
                os.kill(os.getpid(), number)

    IndexProgress.__call__ = call


def main() -> None:
    fake_backend.register(Path(os.environ["XDG_CONFIG_HOME"]))
    if size := os.environ.get("BATCH_CHUNKS"):
        run.BATCH_CHUNKS = run.LARGE_BATCH_CHUNKS = int(size)
    if most := os.environ.get("MAX_FRAGMENTS"):
        from localembed.store.lance import maintenance

        maintenance._MAX_OF_FEW_ROWS = int(most)
    if stop := os.environ.get("STOP_AT"):
        step, _, number = stop.partition(":")
        _stop_at(step, int(number or 1), signal.Signals[os.environ.get("STOP_WITH", "SIGKILL")])
    command_line.main()


if __name__ == "__main__":
    main()
