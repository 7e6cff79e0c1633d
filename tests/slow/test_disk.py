"""A disk that is full, read-only, broken, or knows no hard links.

A command that cannot write ends with exit code 5 and one sentence that says what to do; what was
published before is still found, and the same command finishes as soon as the disk lets it.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest

import localembed
from localembed.errors import StorageError
from localembed.store.layout import Layout
from localembed.store.pending_vectors import PendingVectors
from tests.conftest import paragraphs
from tests.slow.faults import (
    assert_plain_refusal,
    command,
    contents,
    inject,
    needs_strace,
    restore,
    was_injected,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="mount and strace are for Linux"),
]

PAGE = 4096
FREE_PAGES = (*range(0, 12, 2), *range(12, 60, 8), 80, 120, 200, 280, 360, 440, 520, 1200)
"""So much a disk has left: few bytes for the first small files, then more for rows and indexes."""
FIRST_BUILD_PAGES = (1, 3, 4, 6, 8, 16, 32, 64, 128, 192, 256, 384)
ENOUGH = "64m"
FAULTS = {
    "fsync": "EIO",
    "fdatasync": "EIO",
    "linkat": "ENOSPC",
    "pwrite64": "ENOSPC",
    "rename": "ENOSPC",
    "renameat": "ENOSPC",
}
"""What is made to fail, and how. Not write: most of them wake a thread, and no disk is in it."""
UNTOUCHED = 2
"""So many runs in a row must meet no fault: threads do not share the work the same way twice."""


def run(*arguments) -> None:
    subprocess.run(list(map(str, arguments)), check=True, capture_output=True)


@contextmanager
def mounted(target, *arguments):
    """Mount something on a folder; skip where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    target.mkdir(exist_ok=True)
    try:
        run("mount", *arguments, target)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"cannot mount here: {getattr(error, 'stderr', error)}")
    try:
        yield target
    finally:
        run("umount", target)


@contextmanager
def small_disk(target, size):
    """Mount a disk in memory."""
    with mounted(target, "-t", "tmpfs", "-o", f"size={size}", "none"):
        yield target


@contextmanager
def read_only(folder, target):
    """Show a folder a second time, where nothing can be written."""
    with mounted(target, "--bind", folder):
        run("mount", "-o", "remount,bind,ro", target)
        yield target


def resize(disk, size) -> None:
    run("mount", "-o", f"remount,size={size}", disk)


def leave_free(disk, pages: int) -> None:
    """Make a disk so small that only this much is free."""
    status = os.statvfs(disk)
    used = (status.f_blocks - status.f_bfree) * status.f_frsize
    resize(disk, used + pages * PAGE)


@pytest.fixture
def prepared(notes, fake, tmp_path):
    """A workspace that is behind its folder; return it with the rows it should come to."""
    for n in range(4):
        (notes / f"{n}.md").write_text(paragraphs(3, f"f{n}"))
    localembed.Workspace(tmp_path / "prepared").index([notes])
    (notes / "0.md").write_text(paragraphs(4, "changed"))
    (notes / "added.md").write_text(paragraphs(3, "added"))
    (notes / "3.md").unlink()
    clean = localembed.Workspace(tmp_path / "clean")
    clean.index([notes])
    return tmp_path / "prepared", contents(clean)


def assert_still_found(folder) -> None:
    """Readers see the old state or the new one, and either has this."""
    assert localembed.Workspace(folder).query("f1word1x1", mode="text")


def assert_comes_to(folder, expected) -> None:
    """The next index finishes what was begun, and the one after has nothing to do."""
    workspace = localembed.Workspace(folder)
    workspace.index()
    assert contents(workspace) == expected
    assert workspace.query("addedword1x1", mode="text")
    assert not workspace.index().changed


def test_a_disk_that_gets_full_at_any_point_of_a_refresh(prepared, notes, tmp_path):
    behind, expected = prepared
    failed = 0
    for pages in FREE_PAGES:
        with small_disk(tmp_path / "disk", ENOUGH) as disk:
            folder = disk / "ws"
            restore(behind, folder)
            shutil.copytree(notes, disk / "notes")  # a root beside the workspace moves with it
            leave_free(disk, pages)
            done = command("index", "-q", workspace=folder, cwd=tmp_path)
            if done.returncode:
                failed += 1
                assert_plain_refusal(done)
            assert_still_found(folder)
            resize(disk, ENOUGH)
            assert_comes_to(folder, expected)
    print(f"the disk was full {failed} times of {len(FREE_PAGES)}")  # noqa: T201
    assert 0 < failed < len(FREE_PAGES), "the sweep reaches from nothing done to all done"


def test_a_disk_that_gets_full_at_any_point_of_a_first_build(prepared, notes, tmp_path):
    _, expected = prepared
    failed = 0
    for pages in FIRST_BUILD_PAGES:
        with small_disk(tmp_path / "disk", pages * PAGE) as disk:
            folder = disk / "ws"
            done = command("index", "-q", notes, workspace=folder, cwd=tmp_path)
            if done.returncode:
                failed += 1
                assert_plain_refusal(done)
            resize(disk, ENOUGH)
            again = command("index", "-q", notes, workspace=folder, cwd=tmp_path)
            assert again.returncode == 0, again.stderr
            assert_comes_to(folder, expected)
    print(f"the disk was full {failed} times of {len(FIRST_BUILD_PAGES)}")  # noqa: T201
    assert failed


@pytest.mark.parametrize("mode", ["hybrid", "vector", "text"])
def test_a_full_disk_can_be_searched(prepared, tmp_path, mode):
    behind, _ = prepared
    with small_disk(tmp_path / "disk", ENOUGH) as disk:
        restore(behind, disk / "ws")
        leave_free(disk, 0)

        found = command("query", "f1word1x1", "--mode", mode, workspace=disk / "ws", cwd=tmp_path)

    assert found.returncode == 0, found.stderr
    assert "1.md" in found.stdout


READERS = {
    "query": ("query", "-q", "f1word1x1"),
    "show": ("show", "1.md"),
    "status": ("status",),
    "versions": ("versions", "list"),
}


@pytest.mark.parametrize("name", READERS)
def test_a_read_only_workspace_can_be_read(prepared, notes, tmp_path, name):
    with read_only(prepared[0], tmp_path / "fixed") as folder:
        done = command(*READERS[name], workspace=folder, cwd=notes)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_a_read_only_workspace_refuses_to_index_before_a_model_is_loaded(prepared, tmp_path, fake):
    fake.embedded.clear()
    with read_only(prepared[0], tmp_path / "fixed") as folder:
        done = command("index", "-q", workspace=folder)
        with pytest.raises(localembed.errors.StorageError):
            localembed.Workspace(folder).index()

    assert_plain_refusal(done)
    assert "Read-only file system" in done.stderr
    assert fake.embedded == []


def test_a_read_only_folder_can_be_indexed(prepared, notes, tmp_path):
    with read_only(notes, tmp_path / "fixed") as folder:
        done = command("index", "-q", folder, workspace=tmp_path / "own")
        assert done.returncode == 0, done.stderr
        assert localembed.Workspace(tmp_path / "own").query("f1word1x1", mode="text")


@pytest.mark.parametrize("call", FAULTS)
def test_a_call_that_fails_ends_the_run_and_the_next_completes(prepared, tmp_path, call):
    """DuckDB survives a failed pwrite64: what it did not put into its file lies in its log."""
    needs_strace()
    behind, expected = prepared
    folder = tmp_path / "broken"
    faults = refused = untouched = 0
    for number in itertools.count(1):
        restore(behind, folder)
        fault = inject(call, f"error={FAULTS[call]}", number)
        done = command("index", "-q", workspace=folder, strace=fault)
        if was_injected(folder):
            faults += 1
            untouched = 0
        else:
            untouched += 1
        if done.returncode:
            refused += 1
            assert_plain_refusal(done)
        else:
            assert contents(localembed.Workspace(folder)) == expected
        assert_still_found(folder)
        assert_comes_to(folder, expected)
        if untouched == UNTOUCHED:
            break
    print(f"{call}: {FAULTS[call]} {faults} times, {refused} runs ended by it")  # noqa: T201
    assert faults


@pytest.mark.parametrize("how", ["missing", "read-only"])
def test_no_folder_for_temporary_files_is_needed(prepared, notes, tmp_path, how):
    behind, expected = prepared
    restore(behind, tmp_path / "ws")
    place = tmp_path / "temporary"
    (tmp_path / "empty").mkdir()
    with read_only(tmp_path / "empty", place) if how == "read-only" else nullcontext():
        env = {"TMPDIR": str(place)}
        done = command("index", "-q", workspace=tmp_path / "ws", env=env)
        found = command("query", "addedword1x1", workspace=tmp_path / "ws", env=env)

    assert done.returncode == 0, done.stderr
    assert "added.md" in found.stdout
    assert_comes_to(tmp_path / "ws", expected)


def test_answers_on_a_disk_that_gets_full_are_kept_as_far_as_they_were_saved(tmp_path):
    saved: list[bytes] = []

    def fill(pending) -> None:
        for number in range(200):
            keys = [bytes([number, row]) * 8 for row in range(50)]
            pending.save(keys, np.full((50, 64), number, np.float32))
            saved.extend(keys)

    with small_disk(tmp_path / "disk", "1m") as disk:
        pending = PendingVectors(Layout(disk), "a space", 64)
        with pytest.raises(StorageError, match=f"Cannot write {disk}.*Free some space"):
            fill(pending)
        found = pending.vectors(saved)
        assert len(found) == len(saved) > 0
        assert all((vector == key[0]).all() for key, vector in found.items())
        pending.clear()


def assert_refused_for_want_of_hard_links(done, folder) -> None:
    assert_plain_refusal(done)
    assert "hard links" in done.stderr
    assert not folder.exists() or not list(folder.iterdir()), "something was left behind"


@pytest.mark.parametrize("error", ["EPERM", "EOPNOTSUPP"])
def test_a_disk_that_refuses_hard_links_is_refused(prepared, notes, tmp_path, error):
    """vfat says EPERM, others EOPNOTSUPP."""
    needs_strace()
    folder = tmp_path / "ws"
    links = ["-e", "trace=link,linkat", "-e", f"inject=link,linkat:error={error}"]

    done = command("index", "-q", notes, workspace=folder, strace=links)

    assert_refused_for_want_of_hard_links(done, folder)


def test_a_fat_disk_is_refused(prepared, notes, tmp_path):
    if shutil.which("mkfs.vfat") is None:
        pytest.skip("mkfs.vfat is not installed")
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    run("mkfs.vfat", image)
    with mounted(tmp_path / "disk", "-o", "loop", image) as disk:
        done = command("index", "-q", notes, workspace=disk / "ws", cwd=tmp_path)

        assert_refused_for_want_of_hard_links(done, disk / "ws")
