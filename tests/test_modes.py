"""Everything that is made is 0600 and 0700, whatever the umask; files that users name are not."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

import localembed
from localembed import checkup
from localembed.core import private
from localembed.embedding.options import Profile
from localembed.embedding.profiles import ProfileStore
from localembed.models import bundle
from localembed.models.add import add_model
from localembed.store import heartbeat
from localembed.store.layout import Layout
from localembed.store.misplaced import set_aside
from localembed.store.modes import loose_paths
from tests.conftest import PROJECT, paragraphs
from tests.static_model import write_static
from tests.sweeps import sampled

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")


@contextmanager
def umask(number):
    old = os.umask(number)
    try:
        yield
    finally:
        os.umask(old)


def wrong(*tops):
    """Return every path below some folders that has another mode than 0600 or 0700."""
    found = {}
    for top in tops:
        for path in (top, *top.rglob("*")):
            mode = path.lstat().st_mode
            right = 0o700 if stat.S_ISDIR(mode) else 0o600
            if not stat.S_ISLNK(mode) and stat.S_IMODE(mode) != right:
                found[str(path)] = oct(stat.S_IMODE(mode))
    return found


def own_folders(home):
    """Return localembed's folders in the home, without what the tests put there."""
    return [home / "data" / "localembed", home / "cache" / "localembed"]


def run(*arguments, cwd, mask, environment=None):
    program = f"import os, sys; os.umask({mask}); from tests.fake_cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=cwd, env={**os.environ, "PYTHONPATH": str(PROJECT), **(environment or {})},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("mask", [0o000, 0o022])
def test_everything_made_in_python_is_the_users_alone(tmp_path, own_home, notes, mask):
    with umask(mask):
        add_model(write_static(tmp_path / "tiny"), copy=True)
        for number in range(3):
            (notes / f"{number}.md").write_text(paragraphs(3, f"n{number}"))
        workspace = localembed.Workspace(notes / ".localembed", {"model": "tiny"})
        workspace.index([notes])
        (notes / "0.md").write_text("rotate the api keys")
        workspace.index()
        assert workspace.query("keys")
        workspace.history.tag("before", "1")
        workspace.history.restore("1")
        workspace.history.collect_garbage(1)
        set_aside(workspace.layout, workspace.layout.runs / "1.json")
        workspace.remove(notes / "1.md")
        ProfileStore().keep("x", Profile(batch_tokens=3))
        workspace.use_model("tiny")
        file = tmp_path / "b.tar"
        bundle.create_bundle((), file, workspace.layout, with_index=True)
        place = Layout(tmp_path / "new" / ".localembed")
        bundle.install_bundle(file, place)
        assert os.umask(mask) == mask  # a library changes no umask
    assert wrong(workspace.folder, place.folder, *own_folders(own_home)) == {}
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~mask
    assert (own_home / "data" / "localembed" / "models" / "tiny").is_dir()


@pytest.mark.parametrize("mask", sampled([0o000, 0o022], 2))
def test_everything_that_commands_make_is_the_users_alone(tmp_path, own_home, notes, mask):
    runtime = Path(tempfile.mkdtemp())  # short: a socket's path is limited
    environment = {"LOCALEMBED_MODEL": "fake", "XDG_RUNTIME_DIR": str(runtime), "CI": ""}
    (notes / "a.md").write_text(paragraphs(3))

    def call(*arguments):
        return run(*arguments, cwd=notes, mask=mask, environment=environment)

    call("init")
    call("index", ".")
    resident = subprocess.Popen(
        [sys.executable, "-c",
         f"import os, sys; os.umask({mask}); from tests.fake_cli import main; main()", "serve"],
        cwd=notes, env={**os.environ, "PYTHONPATH": str(PROJECT), **environment},
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(200):
            if list(runtime.glob("localembed/*.sock")):
                break
            time.sleep(0.1)
        call("query", "paragraph")
        assert list(runtime.glob("localembed/*.sock"))
        found = wrong(runtime / "localembed")
    finally:
        resident.terminate()
        resident.wait(20)
        shutil.rmtree(runtime)
    (notes / "b.md").write_text(paragraphs(2, "q"))
    call("index")
    call("versions", "gc", "--keep", "1")
    call("doctor", "--deep")
    assert found == {}
    assert wrong(notes / ".localembed", *filter(Path.exists, own_folders(own_home))) == {}


def test_a_collection_in_the_cache_is_the_users_alone(tmp_path, own_home):
    collection = tmp_path / "beir"
    (collection / "qrels").mkdir(parents=True)
    (collection / "corpus.jsonl").write_text(json.dumps({"_id": "1", "text": "some words"}))
    (collection / "queries.jsonl").write_text(json.dumps({"_id": "q", "text": "words"}))
    (collection / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\t1\t1\n")
    run("eval", collection, cwd=tmp_path, mask=0, environment={"LOCALEMBED_MODEL": "fake"})
    assert (own_home / "cache" / "localembed" / "eval").is_dir()
    assert wrong(own_home / "cache" / "localembed") == {}


def test_a_folder_that_existed_becomes_private_and_what_is_not_ours_stays(tmp_path, fake):
    folder = tmp_path / "ws"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "script.sh").write_text("mine")
    (folder / "script.sh").chmod(0o755)
    workspace = localembed.Workspace(folder)
    workspace.create()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "script.sh").stat().st_mode) == 0o755
    assert loose_paths(workspace.layout) == []


def test_what_a_kill_left_is_private_after_the_next_command(workspace, notes):
    (notes / "a.md").write_text("some words")
    workspace.index()
    for path in (workspace.folder, *workspace.folder.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)
    (notes / "b.md").write_text("more words")
    workspace.index()
    assert wrong(workspace.folder) == {}


def test_modes_that_a_kill_left_are_no_damage(workspace, notes):
    (notes / "a.md").write_text("some words")
    workspace.index()
    heartbeat.update(workspace.layout, ended=False, pid=4_000_000)  # of no process
    (workspace.layout.vectors / "new").touch(0o644)
    assert checkup.doctor(workspace).verdict != "wrong"
    workspace.folder.chmod(0o755)
    assert checkup.doctor(workspace).verdict == "wrong"


def test_doctor_finds_wrong_modes_and_repair_fixes_them(workspace, notes):
    (notes / "a.md").write_text("some words")
    workspace.index()
    loosened = [workspace.folder, workspace.layout.head, next(workspace.layout.vectors.iterdir())]
    for path in loosened:
        path.chmod(0o777)
    found = [f for f in checkup.doctor(workspace).findings if f.verdict == "wrong"]
    assert [(f.check, f.fix, sorted(f.paths)) for f in found] == [
        ("modes", "localembed doctor --repair", sorted(map(str, loosened)))
    ]
    fixed = checkup.doctor(workspace, repair=True)
    assert fixed.fixed == ("Made 3 paths accessible to you alone",)
    assert fixed.verdict == "ok"
    assert wrong(workspace.folder) == {}


def test_no_link_is_followed_when_modes_are_set(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("")
    (outside / "file").chmod(0o644)
    outside.chmod(0o755)
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(outside)
    (inside / "other").symlink_to(outside / "file")
    private.tighten(inside)
    assert stat.S_IMODE(outside.stat().st_mode) == 0o755
    assert stat.S_IMODE((outside / "file").stat().st_mode) == 0o644
    assert stat.S_IMODE(inside.stat().st_mode) == 0o700


def test_no_mode_is_changed_through_a_link_that_took_a_files_place(tmp_path, monkeypatch):
    (tmp_path / "outside").touch(mode=0o644)
    (tmp_path / "outside").chmod(0o644)
    (tmp_path / "link").symlink_to("outside")
    found = [(str(tmp_path / "link"), 0o600)]
    monkeypatch.setattr(private, "loose", lambda _top, **_options: found)

    private.tighten(tmp_path)

    assert (tmp_path / "outside").stat().st_mode & 0o777 == 0o644
