"""A command of its own process, with one of its system calls made to fail or to kill it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT, all_rows

SMALL = {"MAX_FRAGMENTS": "1"}
"""A refresh puts the table's fragments together and cleans up, too."""


def needs_strace() -> None:
    """Skip where system calls cannot be made to fail."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    if subprocess.run(["strace", "-qq", "true"], capture_output=True, check=False).returncode:
        pytest.skip("strace may not trace here")


def command(*arguments, workspace: Path, strace=(), prefix=(), cwd=None, env=None):
    """Run the command line on a workspace; return its CompletedProcess.

    Args:
        arguments: of the command line.
        workspace: the workspace folder itself.
        strace: what strace is told to do to it, nothing to run without.
        prefix: a program that runs the command.
        cwd: the current folder; one that nothing is in if not given.
        env: variables beside those of this process.
    """
    # Not --seccomp-bpf: it is faster, and of a thread that it has hit once no call is hit again.
    log = workspace.with_name("strace.log")
    trace = ["strace", "-f", "-qq", "-o", str(log), *strace] if strace else []
    return subprocess.run(
        [*trace, *prefix, sys.executable, "-m", "tests.fake_cli", *map(os.fspath, arguments)],
        cwd=cwd or workspace.parent,
        env={
            **os.environ,
            **SMALL,
            "PYTHONPATH": str(PROJECT),
            "PYTHONDONTWRITEBYTECODE": "1",  # else the calls of the first run are others
            "LOCALEMBED_MODEL": "fake",
            "LOCALEMBED_WORKSPACE": str(workspace),
            **(env or {}),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def inject(call: str, fault: str, number: int) -> list[str]:
    """Return what tells strace to let the n-th call of a thread fail, or kill the process."""
    return ["-e", f"trace={call}", "-e", f"inject={call}:{fault}:when={number}"]


def was_injected(workspace: Path) -> bool:
    """Tell whether the last command made the call that was to fail."""
    log = workspace.with_name("strace.log").read_text(errors="replace")
    return "(INJECTED)" in log or "killed by SIGKILL" in log


def restore(prepared: Path, workspace: Path) -> None:
    """Put a workspace into the state that was prepared."""
    shutil.rmtree(workspace, ignore_errors=True)
    shutil.copytree(prepared, workspace)


def contents(workspace) -> list[tuple[object, ...]]:
    """Return the rows of a workspace without their ids, after a look that no id comes twice."""
    rows = all_rows(workspace)
    assert len({row[0] for row in rows}) == len(rows), "a chunk is stored twice"
    return sorted(row[1:] for row in rows)


def assert_plain_refusal(done) -> None:
    """The command ended with the exit code of a workspace and one sentence that says what to do."""
    assert done.returncode == 5, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    lines = done.stderr.strip().splitlines()
    errors = [line for line in lines if line.startswith("Error: ")]
    assert len(errors) == 1, done.stderr
    hints = (
        "Free some space",
        "Run: localembed",
        "run the same command again",
        "Make it writable",
        "--workspace DIR",
    )
    assert any(hint in errors[0] for hint in hints), done.stderr
