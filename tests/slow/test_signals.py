"""Interrupted, stopped, without a terminal, without stdout, with a clock that jumps: in order."""

from __future__ import annotations

import datetime
import json
import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest

from localembed.store import heartbeat
from tests.conftest import PROJECT, paragraphs
from tests.test_crash import STEPS, assert_equals_clean_build, write_first, write_second

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

OFTEN = {"BATCH_CHUNKS": "12", "MAX_FRAGMENTS": "1", "LOCALEMBED_KEEP_VERSIONS": "2"}
SIGNALS = {
    signal.SIGINT: (130, "Interrupted"),
    signal.SIGTERM: (143, "Terminated"),
    signal.SIGHUP: (143, "Terminated"),
}
KEPT = (
    r"(?:This run has embedded nothing yet|All [\d,]+ chunks? embedded by this run are kept); "
    r"run the same command again to continue\."
)
SAID = re.compile(rf"\n*(Interrupted|Terminated)\.(?: {KEPT})?\n")
"""What a stopped command says; before its run has begun, there is nothing to keep."""
DAY = 86_400
YEARS = 10 * 365 * DAY


def said(done):
    """Return the word for the signal, once the rest of the message is checked."""
    match = SAID.fullmatch(done.stderr)
    assert match or not done.stderr, done.stderr
    return match[1] if match else ""


def changed_corpus(workspace, notes, forks) -> None:
    """Index, and leave something to do for every step of the next run."""
    write_first(notes)
    assert forks.run("index", "-q", cwd=notes, env=OFTEN).returncode == 0
    write_second(notes)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("step", ["files", "embedded", *STEPS, "compacted", "protected", "cleaned"])
def test_a_signal_at_a_step_ends_the_run_in_order(workspace, notes, forks, tmp_path, step, number):
    changed_corpus(workspace, notes, forks)
    code, word = SIGNALS[number]
    env = {**OFTEN, "STOP_AT": step, "STOP_WITH": number.name}

    done = forks.run("index", cwd=notes, env=env)

    assert (done.returncode, done.stdout) == (code, "")
    assert said(done) == word
    assert heartbeat.current(workspace.layout) is None
    assert workspace.query("f1word1x1", mode="text")
    done = forks.run("index", cwd=notes, env=OFTEN)
    assert (done.returncode, done.stderr) == (0, "")
    assert_equals_clean_build(workspace, notes, tmp_path)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_what_was_done_is_kept(workspace, notes, forks, number):
    write_first(notes)
    env = {**OFTEN, "STOP_AT": "recorded:3", "STOP_WITH": number.name}
    forks.run("index", cwd=notes, env=env)

    report = json.loads(forks.run("index", "--json", cwd=notes, env=OFTEN).stdout)

    assert report["chunks"]["total"] - report["chunks"]["embedded"] >= 36
    assert report["files"]["added"] <= 3


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_a_signal_at_any_moment_ends_the_run_in_order(workspace, notes, forks, tmp_path, number):
    code, word = SIGNALS[number]
    rng = random.Random(5)
    stopped = 0
    for turn in range(15):
        for n in range(6):
            (notes / f"{n}.md").write_text(f"zebra {turn}\n\n" + paragraphs(4, f"t{turn}f{n}"))
        child = forks.start("index", "-q", cwd=notes, env=OFTEN)
        time.sleep(rng.uniform(0.05, 0.6))
        child.send(number)
        done = child.wait()
        # Before the command line has begun, and after it has ended, the signal just kills.
        assert (done.returncode, said(done)) in ((0, ""), (code, word), (-number, ""))
        stopped += done.returncode != 0
    print(f"stopped {stopped} of 15")  # noqa: T201
    assert stopped
    workspace.index()
    assert_equals_clean_build(workspace, notes, tmp_path)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("pause", [0, 0.01, 0.05])
def test_a_signal_that_comes_twice_breaks_nothing(workspace, notes, forks, tmp_path, number, pause):
    changed_corpus(workspace, notes, forks)
    env = {**OFTEN, "STOP_AT": "added", "STOP_WITH": "SIGSTOP"}
    child = forks.start("index", "-q", cwd=notes, env=env)
    child.wait_until_stopped()
    child.send(number)
    child.send(signal.SIGCONT)
    time.sleep(pause)
    child.send(number)

    done = child.wait()

    code, word = SIGNALS[number]
    assert (done.returncode, said(done)) == (code, word)
    assert forks.run("index", "-q", cwd=notes, env=OFTEN).returncode == 0
    assert_equals_clean_build(workspace, notes, tmp_path)


@pytest.mark.parametrize("step", ["files", "embedded", "added", "synced", "published"])
def test_a_run_that_slept_goes_on(workspace, notes, forks, tmp_path, step):
    changed_corpus(workspace, notes, forks)
    env = {**OFTEN, "STOP_AT": step, "STOP_WITH": "SIGSTOP"}
    child = forks.start("index", "-q", cwd=notes, env=env)
    child.wait_until_stopped()
    assert workspace.query("f1word1x1", mode="text"), "readers are not held up"
    time.sleep(2)
    child.send(signal.SIGCONT)

    done = child.wait()

    assert (done.returncode, done.stderr) == (0, "")
    assert_equals_clean_build(workspace, notes, tmp_path)


# Streams


def shell(notes, line: str, **options):
    """Let a shell run a command line, `localembed` being ours."""
    command = f'localembed() {{ exec "{sys.executable}" -m tests.fake_cli "$@"; }}; {line}'
    return subprocess.run(
        ["bash", "-c", command],
        cwd=notes,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "LOCALEMBED_MODEL": "fake"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_harm_nothing(workspace, notes, tmp_path, closed):
    write_first(notes)

    done = shell(notes, f"localembed index {closed}")

    assert (done.returncode, done.stderr) == (0, "")
    assert ("Run 1 in" in done.stdout) == (">&-" not in closed.split())
    for command in ("query f1word1x1", "status"):
        done = shell(notes, f"localembed {command} {closed}")
        assert (done.returncode, done.stderr) == (0, ""), command
    assert_equals_clean_build(workspace, notes, tmp_path)


def test_an_error_without_stderr_still_has_its_exit_code(workspace, notes):
    assert shell(notes, "localembed query words 2>&-").returncode == 5
    assert shell(notes, "localembed nonsense >&- 2>&-").returncode == 2


@pytest.mark.parametrize("command", ["index", "index --json", "query -q f1word1x1", "status"])
def test_a_reader_of_stdout_that_is_gone_is_no_error(workspace, notes, tmp_path, command):
    write_first(notes)
    workspace.index()
    (notes / "1.md").write_text(paragraphs(6, "f1") + "\n\nmore")

    done = shell(notes, f"{{ sleep 0.2; localembed {command}; }} | true; echo ${{PIPESTATUS[0]}}")

    assert (done.stdout, done.stderr) == ("0\n", "")
    assert workspace.index().changed == (not command.startswith("index"))
    assert_equals_clean_build(workspace, notes, tmp_path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
@pytest.mark.parametrize("command", ["index", "query f1word1x1", "status --json"])
def test_a_full_disk_behind_stdout_is_said_in_a_sentence(workspace, notes, tmp_path, command):
    write_first(notes)
    workspace.index()

    done = shell(notes, f"localembed {command} > /dev/full")

    assert "Traceback" not in done.stderr
    assert re.fullmatch(r"Error: .*No space left on device.*\n", done.stderr)
    assert done.returncode not in (0, 70)
    assert workspace.index().exit_code == 0
    assert_equals_clean_build(workspace, notes, tmp_path)


def test_no_terminal_is_needed(workspace, notes):
    write_first(notes)

    done = shell(
        notes,
        "unset TERM COLUMNS LANG; LC_ALL=C localembed index < /dev/null",
        start_new_session=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Run 1 in ")


# Clocks


@pytest.fixture
def clock(monkeypatch):
    """Move the clock by seconds, for everything that Python asks it."""
    real, real_ns = time.time, time.time_ns
    shift = 0

    class Shifted(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) + datetime.timedelta(seconds=shift)

    def move(seconds: int) -> None:
        nonlocal shift
        shift = seconds

    monkeypatch.setattr(time, "time", lambda: real() + shift)
    monkeypatch.setattr(time, "time_ns", lambda: real_ns() + shift * 10**9)
    monkeypatch.setattr(datetime, "datetime", Shifted)
    return move


@pytest.mark.parametrize("during", [False, True], ids=["between", "during"])
@pytest.mark.parametrize("jump", [-YEARS, YEARS], ids=["back", "forward"])
def test_a_clock_that_jumps_hides_no_change(workspace, notes, clock, tmp_path, jump, during):
    write_first(notes)
    workspace.index()
    ahead = 0
    for turn in range(6):
        ahead = 0 if ahead else jump
        if not during:
            clock(ahead)
        (notes / "3.md").write_text(f"the same size {turn}")
        (notes / f"new{turn}.md").write_text(f"added {turn}")

        report = workspace.index(on_event=lambda _event, to=ahead: clock(to))

        assert (report.files.changed, report.files.added, report.exit_code) == (1, 1, 0)
        assert workspace.query(f"size {turn}", mode="text", top_k=1)[0].text == (
            f"the same size {turn}"
        )
    versions = workspace.history.versions()
    assert [version.run for version in versions] == sorted((v.run for v in versions), reverse=True)
    assert versions[0].run == 7
    workspace.history.collect_garbage(2)
    assert [version.run for version in workspace.history.versions()] == [7, 6]
    assert_equals_clean_build(workspace, notes, tmp_path)


AGES = {
    "1901": -2_147_483_648,
    "1970": 0,
    "ten years ago": int(time.time()) - YEARS,
    "in ten years": int(time.time()) + YEARS,
    "2038": 2**31 + 1,
    "2261": 2**63 // 10**9 - DAY,
    "2400": 13_569_465_600,
}


@pytest.mark.parametrize("before", AGES.values(), ids=AGES)
def test_a_change_is_seen_whatever_the_times_of_the_file(workspace, notes, before):
    file = notes / "a.txt"
    for turn, after in enumerate(AGES.values()):
        file.write_text(f"alpha words {turn}")
        os.utime(file, (before, before))
        assert workspace.index().exit_code == 0
        file.write_text(f"gamma words {turn}")
        os.utime(file, (after, after))

        report = workspace.index()

        assert (report.files.changed, report.exit_code) == (1, 0)
        texts = [hit.text for hit in workspace.query(f"words {turn}", mode="text")]
        assert texts == [f"gamma words {turn}"]
