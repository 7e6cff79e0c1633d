"""Ctrl-C, SIGTERM and SIGHUP."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest

from tests.conftest import PROJECT, paragraphs


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        (signal.SIGINT, 130, "Interrupted"),
        (signal.SIGTERM, 143, "Terminated"),
        (signal.SIGHUP, 143, "Terminated"),
    ],
)
def test_a_stopped_index_says_so_and_the_next_run_completes(
    notes, start_index, run_cli, number, code, word
):
    for n in range(5):
        (notes / f"{n}.md").write_text(paragraphs(3, f"f{n}"))
    process = start_index()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (code, "")
    assert err.strip() == (
        f"{word}. Everything indexed so far is kept; run the same command again to continue."
    )
    status = json.loads(run_cli("status", "--json", "--workspace", "ws").stdout)
    assert (status["files"], status["running"]) == (0, None)
    report = json.loads(run_cli("index", "--json", "--workspace", "ws").stdout)
    assert (report["files"]["added"], report["files"]["failed"]) == (5, 0)
    assert run_cli("query", "pword", "--workspace", "ws").returncode == 0


SLOW_START = (
    "from threading import Thread\n"
    "start = Thread.start\n"
    "Thread.start = lambda thread: (start(thread), time.sleep(0.3))\n"
)
"""What a busy machine may do."""


@pytest.mark.parametrize("machine", ["", SLOW_START], ids=["idle", "busy"])
def test_a_signal_inside_of_a_destructor_is_not_lost(own_home, machine):
    """Python only prints an exception raised in a destructor, and continues."""
    script = (
        "import os, signal, time\n"
        f"{machine}"
        "from localembed.cli import exit_codes, signals\n"
        "signals.listen()\n"
        "class Last:\n"
        "    def __del__(self):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        for _ in range(1000): pass\n"
        "try:\n"
        "    Last()\n"
        "    time.sleep(20)\n"
        "    print('went on')\n"
        "except exit_codes.Terminated:\n"
        "    print('ended')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=PROJECT
    )
    assert (done.stdout, done.stderr) == ("ended\n", "")
