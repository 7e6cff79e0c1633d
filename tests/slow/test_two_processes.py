"""Processes side by side: one writes, the others wait, are refused, or read one whole version."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager

import pytest

from tests.conftest import PROJECT, all_rows, paragraphs
from tests.test_crash import assert_equals_clean_build

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FILES = 6
CHUNKS = 2 * FILES
OFTEN = {"BATCH_CHUNKS": "6", "MAX_FRAGMENTS": "2", "LOCALEMBED_KEEP_VERSIONS": "2"}


def write_turn(notes, turn: int) -> None:
    """Let every document say which turn it is from."""
    for n in range(FILES):
        (notes / f"{n}.md").write_text(
            f"zebra turn{turn} in {n}\n\n" + paragraphs(2, f"t{turn}f{n}")
        )


@contextmanager
def held(forks, notes, step: str = "synced", env=None):
    """Have a process index up to a step and stop there, with the lock in its hand."""
    settings = {"STOP_AT": step, "STOP_WITH": "SIGSTOP", **(env or {})}
    holder = forks.start("index", "-q", cwd=notes, env=settings)
    try:
        holder.wait_until_stopped()
        yield holder
    finally:
        holder.send(signal.SIGCONT)
        holder.wait()


def wait_for(condition, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_of_two_at_once_one_wins(workspace, notes, forks, tmp_path):
    ends: Counter[str] = Counter()
    for turn in range(50):
        write_turn(notes, turn)
        both = [forks.start("index", "--json", cwd=notes, env=OFTEN) for _ in range(2)]
        done = [child.wait() for child in both]
        codes = sorted(one.returncode for one in done)
        ends[str(codes)] += 1
        assert codes in ([0, 0], [0, 5]), [one.stderr for one in done]
        changed = [json.loads(one.stdout)["run"] for one in done if one.returncode == 0]
        assert [run for run in changed if run] == [turn + 1]
        for one, other in zip(done, reversed(both), strict=True):
            if one.returncode:
                assert re.match(r"Error: Another localembed is writing to ", one.stderr)
                named = re.findall(r"\(process (\d+) since ", one.stderr)
                assert named in ([], [str(other.pid)])
                ends["named"] += bool(named)
            else:
                assert one.stderr == ""
        rows = all_rows(workspace)
        assert len({row[0] for row in rows}) == len(rows) == CHUNKS
    print(f"exit codes of both: {dict(ends)}")  # noqa: T201
    assert_equals_clean_build(workspace, notes, tmp_path)


@pytest.mark.parametrize("step", ["claimed", "embedded", "synced", "published"])
def test_the_second_is_told_who_holds_the_lock(workspace, notes, forks, step):
    write_turn(notes, 0)
    with held(forks, notes, step) as holder:
        done = forks.run("index", cwd=notes)
        assert done.returncode == 5
        assert f"(process {holder.pid} since " in done.stderr
    assert forks.run("index", "-q", cwd=notes).returncode == 0


def test_the_second_is_refused_before_the_first_has_begun_to_write(workspace, notes, forks):
    write_turn(notes, 0)
    forks.run("index", "-q", cwd=notes, env={"STOP_AT": "claimed"})
    with held(forks, notes, "files"):
        done = forks.run("index", cwd=notes)
        assert done.returncode == 5
        assert "(process" not in done.stderr, "it is not the one that was killed"


def test_a_holder_that_was_killed_leaves_no_lock(workspace, notes, forks, tmp_path):
    steps = ["files", "claimed", "embedded", "added", "synced", "recorded", "published", "finished"]
    for turn in range(16):
        write_turn(notes, turn)
        with held(forks, notes, steps[turn % len(steps)], OFTEN) as holder:
            assert forks.run("index", "-q", cwd=notes, env=OFTEN).returncode == 5
            holder.send(signal.SIGKILL)
            holder.wait()
            done = forks.run("index", "-q", cwd=notes, env=OFTEN)
        assert (done.returncode, done.stderr) == (0, "")
    assert_equals_clean_build(workspace, notes, tmp_path)


def test_one_that_waits_says_so_and_then_works(workspace, notes, forks, tmp_path):
    write_turn(notes, 0)
    with held(forks, notes) as holder:
        waiting = [forks.start("index", "--wait", cwd=notes) for _ in range(3)]
        for child in waiting:
            wait_for(child.err)
            assert f"(process {holder.pid} since " in child.err()
        time.sleep(0.5)  # for one that would not wait to show it
        assert [child.poll() for child in waiting] == [None] * 3
        write_turn(notes, 1)
    for child in waiting:
        done = child.wait()
        assert done.returncode == 0
        assert done.stderr.endswith(". Waiting until it is done.\n")
    assert_equals_clean_build(workspace, notes, tmp_path)


def test_one_that_waits_goes_on_when_the_holder_is_killed(workspace, notes, forks, tmp_path):
    write_turn(notes, 0)
    with held(forks, notes, "added") as holder:
        waiting = forks.start("index", "--wait", cwd=notes)
        wait_for(waiting.err)
        holder.send(signal.SIGKILL)
        assert waiting.wait(30).returncode == 0
    assert_equals_clean_build(workspace, notes, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_one_that_waits_can_be_stopped(workspace, notes, forks, number):
    write_turn(notes, 0)
    with held(forks, notes):
        waiting = forks.start("index", "--wait", cwd=notes)
        wait_for(waiting.err)
        waiting.send(number)
        expected = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGKILL: -9}
        assert waiting.wait(30).returncode == expected[number]
    assert not workspace.index().changed


@contextmanager
def long_lived_reader(folder):
    """Query all the time with a process that stays; give the lines that it wrote."""
    lines: list[str] = []
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.slow.reading", os.fspath(folder)],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    stdout = process.stdout
    gather = threading.Thread(target=lambda: lines.extend(stdout))
    gather.start()
    try:
        yield lines
    finally:
        process.stdin.close()
        code = process.wait(60)
        gather.join()
        process.stdout.close()
    assert code == 0


@contextmanager
def queries_one_after_another(forks, notes):
    """Start `query --json` again and again; give how each ended."""
    ended, over = [], threading.Event()

    def ask() -> None:
        while not over.is_set():
            ended.append(forks.run("query", "-q", "--json", "-k", "100", "zebra", cwd=notes))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield ended
    finally:
        over.set()
        asking.join()


def test_an_answer_never_mixes_two_versions(workspace, notes, forks):
    write_turn(notes, 0)
    assert forks.run("index", "-q", cwd=notes, env=OFTEN).returncode == 0
    with (
        long_lived_reader(workspace.folder) as lines,
        queries_one_after_another(forks, notes) as ended,
    ):
        wait_for(lambda: lines and ended)
        for turn in range(1, 31):
            write_turn(notes, turn)
            done = forks.run("index", "-q", cwd=notes, env=OFTEN)
            assert (done.returncode, done.stderr) == (0, "")
    answers = [json.loads(line) for line in lines]
    for done in ended:
        assert (done.returncode, done.stderr) == (0, "")
        texts = [hit["text"] for hit in json.loads(done.stdout)["hits"]]
        answers.append([len(texts), *{t for text in texts for t in re.findall(r"turn\d+", text)}])
    print(f"{len(lines)} answers of a reader, {len(ended)} of processes")  # noqa: T201
    assert {len(turns) for _, *turns in answers} == {1}, "an answer mixed two versions"
    assert {count for count, *_ in answers} <= {FILES, CHUNKS}, "an answer lacked documents"
    assert len({turn for _, turn in answers}) > 15
