"""What a kill costs while a remote model embeds: requests under way, and no answer that came."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import localembed
from localembed.store.layout import Layout
from localembed.store.pending_vectors import PendingVectors
from tests.conftest import PROJECT, paragraphs
from tests.slow.faults import inject, needs_strace
from tests.slow.pending import DIM, KEYS, SPACE, VECTORS

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


@pytest.mark.parametrize("call", ["fdatasync", "fsync", "pwrite64", "unlink", "mkdir", "openat"])
def test_a_kill_at_any_call_loses_no_answer_that_was_saved(tmp_path, call):
    needs_strace()
    kills = 0
    for number in itertools.count(1, 30 if call == "openat" else 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        log = ["-o", os.devnull, *inject(call, "signal=SIGKILL", number)]
        done = subprocess.run(
            ["strace", "-f", "-qq", *log, sys.executable, "-m", "tests.slow.pending", folder],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        found = PendingVectors(Layout(folder), SPACE, DIM).vectors(KEYS)
        there = [KEYS.index(key) for key in found]
        assert set(there) >= set(map(int, done.stdout.split())), f"{call} {number}"
        assert all(found[KEYS[n]].tobytes() == VECTORS[n].tobytes() for n in there)
        kills += done.returncode != 0
        if not done.returncode:
            break
    print(f"{call}: killed {kills} times")  # noqa: T201 - shown by pytest -rP
    assert kills
