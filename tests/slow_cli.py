"""The real command line with a model that says when it embeds and then takes its time."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from localembed.cli import main as command_line
from tests import fake_backend


def _embed_slowly(self, inputs, on_batch):
    print("embedding", file=sys.stderr, flush=True)  # noqa: T201 - the test waits for it
    # In short steps: a signal between the look for signals and one long sleep would wait for it.
    for _ in range(1200):
        time.sleep(0.05)
    return self.embed_query("never reached")


if __name__ == "__main__":
    # A shell that runs the tests in the background has them ignore Ctrl-C, and so their children.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    fake_backend.register(Path(os.environ["XDG_CONFIG_HOME"]))
    fake_backend.FakeEmbedder.embed_documents = _embed_slowly
    command_line.main()
