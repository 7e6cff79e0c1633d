"""The real command line with the fake model known, for tests that need a process of their own.

`STOP_AT=name:n` kills the process with SIGKILL, or the signal that `STOP_WITH` names, when a step
of a run is reached the n-th time; `BATCH_CHUNKS=n` makes batches small, `MAX_FRAGMENTS=n` lets a
table be compacted soon.
"""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

from localembed.cli import main as command_line
from localembed.cli.render.progress import IndexProgress
from localembed.types.events import RunEvent, Step
from localembed.types.limits import Limits
from tests import fake_backend


def _stop_at(step: Step, count: int, number: int) -> None:
    left = {step: count}
    original = IndexProgress.__call__

    def call(self, event: RunEvent) -> None:
        original(self, event)
        if event.step in left:
            left[event.step] -= 1
            if left[event.step] == 0:
                os.kill(os.getpid(), number)

    IndexProgress.__call__ = call


def main() -> None:
    fake_backend.register(Path(os.environ["XDG_CONFIG_HOME"]))
    limits = Limits()
    if size := os.environ.get("BATCH_CHUNKS"):
        limits = replace(limits, batch_chunks=int(size), large_batch_chunks=int(size))
    if fragments := os.environ.get("MAX_FRAGMENTS"):
        limits = replace(limits, max_small_fragments=int(fragments))
    if stop := os.environ.get("STOP_AT"):
        step, _, number = stop.partition(":")
        signal_number = signal.Signals[os.environ.get("STOP_WITH", "SIGKILL")]
        _stop_at(Step(step), int(number or 1), signal_number)
    command_line.main(limits)


if __name__ == "__main__":
    main()
