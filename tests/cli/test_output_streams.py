"""What goes to stdout, stderr, pipes and terminals."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys

import pytest

from tests.conftest import PROJECT, paragraphs


def test_a_closed_pipe_is_silent(run_cli, tmp_path, notes):
    for n in range(9):
        (notes / f"{n}.md").write_text(paragraphs(20, f"f{n}"))
    run_cli("index", notes, "--workspace", "ws")
    command = [sys.executable, "-m", "tests.fake_cli"]
    env = {**os.environ, "PYTHONPATH": str(PROJECT), "LOCALEMBED_MODEL": "fake"}

    with subprocess.Popen(
        [*command, "query", "words", "-k", "300", "--format", "jsonl", "--workspace", "ws"],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        process.stdout.close()
        error = process.stderr.read()
        code = process.wait(60)

    assert json.loads(first)["rank"] == 1
    assert error == b""
    assert code != 1, "1 means that nothing was found"


def test_stdout_carries_the_report_alone_and_progress_goes_to_the_terminal(
    notes, tmp_path, own_home
):
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    for n in range(5):
        (notes / f"{n}.md").write_text(paragraphs(30, f"f{n}"))
    parent, child = pty.openpty()
    termios.tcsetwinsize(child, (24, 80))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.fake_cli", "index", notes, "--workspace", "ws"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(PROJECT), "LOCALEMBED_MODEL": "fake"},
            stdout=subprocess.PIPE,
            stderr=child,
            text=True,
            timeout=120,
            check=True,
        )
        shown, _, _ = select.select([parent], [], [], 5)
        progress = os.read(parent, 1 << 16).decode() if shown else ""
    finally:
        os.close(parent)
        os.close(child)

    assert done.stdout.startswith("Run 1 in ")
    assert "\r" not in done.stdout
    assert "chunks" in progress


def test_nothing_but_the_report_is_printed_without_a_terminal(run_cli, notes):
    (notes / "a.md").write_text("Some words.")

    done = run_cli("index", notes)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Run 1 in ")
    assert "\r" not in done.stdout
    assert "\x1b" not in done.stdout


def test_messages_escape_control_characters_of_their_arguments(indexed, cli):
    for arguments in (
        ("query", "zeb\x07ra", "--mode", "text"),
        ("index", "nowhere\x07"),
        ("rm", "garden\x07"),
        ("init", "--workspace", "made\x07"),
    ):
        result = cli(*arguments)
        assert "\x07" not in result.out + result.err, arguments


def test_what_libraries_warn_of_is_for_developers(tmp_path):
    program = (
        "import sys, warnings\n"
        "from localembed.cli import main as entry\n"
        "carry_out = entry.run\n"
        "def run(command, arguments, session):\n"
        "    warnings.warn('coroutine was never awaited', RuntimeWarning)\n"
        "    return carry_out(command, arguments, session)\n"
        "entry.run, sys.argv = run, ['localembed', '--version']\n"
        "entry.main()\n"
    )
    for options, count in (((), 0), (("-W", "default"), 1)):
        run = subprocess.run(
            [sys.executable, *options, "-c", program],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert run.stderr.count("never awaited") == count
