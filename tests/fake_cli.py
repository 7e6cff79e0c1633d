"""The real command line with the fake model known, for tests that need a process of their own.

`STOP_AT=name:n` kills the process with SIGKILL when a step of a run is reached the n-th time;
`BATCH_CHUNKS=n` makes batches small, `MOST_FRAGMENTS=n` lets a table be compacted soon.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from localembed.cli import main as command_line
from localembed.cli.progress import IndexProgress
from localembed.pipeline import recipe
from tests import fake_backend


def _kill_at(name: str, count: int) -> None:
    left = {name: count}
    original = IndexProgress.__call__

    def call(self, event: str, number: int) -> None:
        original(self, event, number)
        if event in left:
            left[event] -= 1
            if left[event] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    IndexProgress.__call__ = call


if __name__ == "__main__":
    fake_backend.register(Path(os.environ["XDG_CONFIG_HOME"]))
    recipe.BATCH_CHUNKS = int(os.environ.get("BATCH_CHUNKS", recipe.BATCH_CHUNKS))
    if most := os.environ.get("MOST_FRAGMENTS"):
        from localembed.store import table

        table._MOST_OF_FEW_ROWS = int(most)
    if stop := os.environ.get("STOP_AT"):
        step, _, number = stop.partition(":")
        _kill_at(step, int(number or 1))
    command_line.main()
