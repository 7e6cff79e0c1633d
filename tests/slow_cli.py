"""The real command line with a model that takes its time, and says when it begins to embed.

`BATCH_SECONDS` is the time of a forward batch, which is one chunk. Each adds a byte to the file
`BATCHES`, if that is set.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from localembed.cli import main as command_line
from tests import fake_backend

_SECONDS = float(os.environ.get("BATCH_SECONDS", "0.05"))
_BATCHES = os.environ.get("BATCHES")
_began = False


def _wait(_chunks):
    global _began
    if not _began:
        print("embedding", file=sys.stderr, flush=True)  # noqa: T201 - the test waits for it
        _began = True
    time.sleep(_SECONDS)
    if _BATCHES:
        with open(_BATCHES, "ab") as file:  # noqa: PTH123 - in a hurry
            file.write(b".")


if __name__ == "__main__":
    # A shell that runs the tests in the background has them ignore Ctrl-C, and so their children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    fake_backend.register(Path(os.environ["XDG_CONFIG_HOME"]))
    fake_backend.FakeEmbedder.batch_size = 1
    fake_backend.FakeEmbedder.wait = staticmethod(_wait)
    command_line.main()
