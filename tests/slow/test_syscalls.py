"""Killed at every system call that writes: the next run completes and equals a clean build.

A refresh that adds, changes, renames and removes, compacts and cleans up is killed at its first,
second, third ... call of a kind, until it ends unharmed. strace counts the calls of each thread for
itself, so the same number hits another call when threads share the work in another way.
"""

from __future__ import annotations

import itertools
import shutil
import sys

import pytest

import localembed
from tests.conftest import paragraphs
from tests.slow.faults import command, contents, inject, needs_strace, restore

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="strace is for Linux"),
]

STRIDES = {
    "fsync": 1,
    "fdatasync": 1,
    "ftruncate": 1,
    "linkat": 1,
    "mkdir": 1,
    "pwrite64": 1,
    "rename": 1,
    "renameat": 1,
    "unlink": 1,
    "write": 6,  # most of them only wake another thread up
    "openat": 30,  # most of them import something
}
"""How many calls of a kind are passed over from one kill to the next, and one more."""
UNHARMED = 2
"""So many runs in a row must end unharmed: threads do not share the work the same way twice."""
OLD, NEW = {"kept.md", "0.md", "1.md", "2.md"}, {"kept.md", "0.md", "added.md", "moved.md"}


@pytest.fixture
def prepared(notes, fake, tmp_path):
    """A workspace that is behind its folder; return it with the rows it should come to."""
    needs_strace()
    for name in OLD:
        (notes / name).write_text(paragraphs(2, name[0]) + "\n\nEvery note has this.")
    localembed.Workspace(tmp_path / "prepared").index([notes])
    (notes / "0.md").write_text(paragraphs(3, "changed") + "\n\nEvery note has this.")
    (notes / "added.md").write_text(paragraphs(2, "added") + "\n\nEvery note has this.")
    (notes / "1.md").unlink()
    (notes / "2.md").rename(notes / "moved.md")
    clean = localembed.Workspace(tmp_path / "clean")
    clean.index([notes])
    return tmp_path / "prepared", contents(clean)


def shown(workspace) -> set[str]:
    """Return the names of the documents that readers find."""
    hits = workspace.query("every note", mode="text", top_k=50)
    return {str(hit.path).rpartition("/")[2] for hit in hits}


def killed_at_each(call, folder, begin, *arguments):
    """Kill an index at one call after another; yield which it was while what is left lies there.

    Args:
        call: the kind of call.
        folder: the workspace.
        begin: puts the workspace into the state before the run.
        arguments: what to index.
    """
    kills = unharmed = 0
    for number in itertools.count(1, STRIDES[call]):
        begin()
        kill = inject(call, "signal=SIGKILL", number)
        done = command("index", "-q", *arguments, workspace=folder, strace=kill)
        assert done.returncode in (0, -9), f"{call} {number}: {done.stderr}"
        kills += done.returncode != 0
        unharmed = 0 if done.returncode else unharmed + 1
        yield f"{call} {number}"
        if unharmed == UNHARMED:
            break
    print(f"{call}: killed {kills} times")  # noqa: T201 - shown by pytest -rP
    assert kills, f"no run made the call {call}: it is not swept at all"


def assert_is_complete(workspace, expected, which) -> None:
    assert shown(workspace) == NEW, which
    assert contents(workspace) == expected, which
    assert workspace.query("changedword1x1")[0].path.endswith("0.md"), which
    assert not workspace.index().changed, which


@pytest.mark.parametrize("call", STRIDES)
def test_a_refresh_killed_at_every_call_completes(prepared, tmp_path, call):
    behind, expected = prepared
    folder = tmp_path / "killed"
    for which in killed_at_each(call, folder, lambda: restore(behind, folder)):
        workspace = localembed.Workspace(folder)
        assert shown(workspace) in (OLD, NEW), f"{which}: readers see half a run"
        workspace.index()
        assert_is_complete(workspace, expected, which)


@pytest.mark.parametrize("call", ["linkat", "mkdir", "rename", "renameat", "unlink"])
def test_a_first_build_killed_at_every_call_completes(prepared, notes, tmp_path, call):
    """What makes a name; what only fills files is swept above."""
    _, expected = prepared
    folder = tmp_path / "killed"
    for which in killed_at_each(
        call, folder, lambda: shutil.rmtree(folder, ignore_errors=True), notes
    ):
        workspace = localembed.Workspace(folder)
        workspace.index([notes])
        assert_is_complete(workspace, expected, which)
