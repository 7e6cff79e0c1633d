"""The real command line with the fake model known, and with its batches counted.

The file that `COUNT_BATCHES` names gets the number of batches that were committed.
"""

from __future__ import annotations

import atexit
import os
from collections import Counter, deque
from pathlib import Path

from localembed.cli import main as command_line
from localembed.cli.render.progress import IndexProgress
from localembed.types.events import RunEvent, Step
from tests import fake_backend


def _count_batches(out: Path) -> None:
    """Write the number of batches at the end; each adds its rows once."""
    seen: Counter[Step] = Counter()
    original = IndexProgress.__call__

    def call(self: IndexProgress, event: RunEvent) -> None:
        seen[event.step] += 1
        original(self, event)

    IndexProgress.__call__ = call  # type: ignore[method-assign]
    atexit.register(lambda: out.write_text(str(seen[Step.ADDED])))


if __name__ == "__main__":
    fake_backend.register(Path(os.environ["XDG_CONFIG_HOME"]))
    # What tests want to know of every item would grow with the corpus.
    fake_backend.FakeEmbedder.embedded = deque(maxlen=0)
    if name := os.environ.get("COUNT_BATCHES"):
        _count_batches(Path(name))
    command_line.main()
