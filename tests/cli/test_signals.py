"""Ctrl-C, SIGTERM and SIGHUP."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import PROJECT, paragraphs
from tests.sweeps import sampled

SIGNALS = pytest.mark.parametrize(
    ("number", "code", "word"),
    sampled(
        [
            (signal.SIGINT, 130, "Interrupted"),
            (signal.SIGTERM, 143, "Terminated"),
            (signal.SIGHUP, 143, "Terminated"),
        ],
        2,
    ),
)
KEPT = re.compile(
    r"(\w+)\. All (\d+) chunks? embedded by this run are kept; run the same command again to "
    r"continue\.\n"
)


def write(notes, files, paragraphs_each=3):
    for n in range(files):
        (notes / f"{n}.md").write_text(paragraphs(paragraphs_each, f"f{n}"))


def index_again(run_cli):
    return json.loads(run_cli("index", "--json", "--workspace", "ws").stdout)["chunks"]


@SIGNALS
def test_a_stopped_index_keeps_what_it_embedded(notes, start_index, run_cli, number, code, word):
    """What is said to be kept is kept: the next run embeds exactly the rest."""
    write(notes, 40)
    process = start_index()
    time.sleep(0.5)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)

    assert (process.returncode, out) == (code, "")
    said = KEPT.fullmatch(err.lstrip("\n"))
    assert said, err
    kept = int(said[2])
    assert said[1] == word
    assert 0 < kept < 120
    status = json.loads(run_cli("status", "--json", "--workspace", "ws").stdout)
    assert status["running"] is None
    again = index_again(run_cli)
    assert (again["total"], again["embedded"]) == (120, 120 - kept)
    assert run_cli("query", "f1word1x1", "--workspace", "ws").returncode == 0
    assert not list((notes.parent / "ws" / "pending").glob("*"))


def test_a_document_that_is_not_finished_is_kept(notes, start_index, run_cli):
    write(notes, 3)
    (notes / "1.md").write_text(paragraphs(300, "long"))
    process = start_index(batch_seconds=0.01)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    said = KEPT.fullmatch(err.lstrip("\n"))
    assert said, err
    status = json.loads(run_cli("status", "--json", "--workspace", "ws").stdout)
    assert status["chunks"] < int(said[2]) < 306, "the long document is not committed in parts"
    again = index_again(run_cli)
    assert (again["total"], again["embedded"]) == (306, 306 - int(said[2]))


def test_a_kill_costs_what_was_embedded_since_the_last_commit(
    notes, tmp_path, start_index, run_cli
):
    """Also within one long document, which is committed as a whole."""
    write(notes, 3)
    (notes / "1.md").write_text(paragraphs(600, "long"))
    batches = tmp_path / "batches"
    batches.touch()
    process = start_index(batch_seconds=0.01, BATCHES=str(batches), LOCALEMBED_COMMIT_SECONDS="1")
    while batches.stat().st_size < 350:
        time.sleep(0.05)
    process.kill()
    process.wait()

    embedded = batches.stat().st_size
    again = index_again(run_cli)
    kept = again["total"] - again["embedded"]
    assert again["total"] == 606
    assert kept >= embedded - 200, "1.25 s of 10 ms each, and the time that saving takes"


def test_a_second_signal_does_not_wait(notes, start_index):
    write(notes, 5)
    process = start_index(batch_seconds=300)
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None, "a forward batch is not interrupted"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err == "Left at once; the next run embeds what was not saved yet.\n"


def test_a_signal_that_comes_twice_at_once_is_one(notes, start_index):
    write(notes, 40)
    process = start_index()
    for _ in range(3):
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, bool(KEPT.fullmatch(err.lstrip("\n")))) == (130, True)


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
