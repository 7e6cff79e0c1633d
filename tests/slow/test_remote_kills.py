"""What a kill costs while a server embeds: the requests on their way, and nothing that came."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import localembed
from tests.conftest import PROJECT, paragraphs

pytestmark = pytest.mark.slow


def test_a_kill_costs_at_most_the_requests_on_their_way(known, server, notes, tmp_path):
    """Kill -9 again and again, while answers come in and before they are in the table."""
    for n in range(40):
        (notes / f"{n}.md").write_text(paragraphs(4, f"p{n}x"))
    known(max_inputs=8, max_concurrency=1)
    server.delay = 0.02
    rng = np.random.default_rng(11)
    command = (sys.executable, "-m", "localembed", "index", notes, "--workspace", tmp_path / "ws")
    place = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(PROJECT)}}
    kills = 0
    for _ in range(5):
        goal = len(server.requests) + int(rng.integers(1, 5))
        run = subprocess.Popen((*command, "--model", "remote", "-q"), **place)
        while len(server.requests) < goal and run.poll() is None:
            time.sleep(0.001)
        time.sleep(float(rng.uniform(0, 0.04)))
        run.kill()
        kills += run.wait() == -signal.SIGKILL
    assert kills == 5
    report = localembed.Workspace(tmp_path / "ws", {"model": "remote"}).index()
    asked = [text for request in server.requests for text in request.texts]
    assert len(set(asked)) == report.chunks.total
    assert len(asked) - len(set(asked)) <= 8 * kills
