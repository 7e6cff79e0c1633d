"""The roots of an index from a bundle: folders of another machine until the user says so."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import sys
import tarfile

import pytest

import localembed
from localembed.errors import UsageError
from localembed.store.layout import Layout
from localembed.workspace.bundles import (
    bundled_roots,
    create_bundle,
    install_bundle,
    parse_places,
)
from localembed.workspace.workspace import Workspace
from tests.conftest import PROJECT


@pytest.fixture
def carried(tmp_path, fake):
    """A bundle with the index of a project that has a root inside and one outside of it."""
    project = tmp_path / "there" / "project"
    outside = tmp_path / "there" / "outside"
    for folder, words in ((project / "docs", "Rotating api keys."), (outside, "Wine lies down.")):
        folder.mkdir(parents=True)
        for number in range(3):
            (folder / f"{number}.md").write_text(f"{words} Number {number}.")
    workspace = localembed.open(project)
    workspace.index([project / "docs", outside])
    create_bundle((), tmp_path / "b.tar", workspace.layout, with_index=True)
    fake.embedded.clear()
    return tmp_path / "b.tar"


@pytest.fixture
def there(tmp_path):
    return tmp_path / "there"


def install(carried, folder, *given) -> Workspace:
    roots = bundled_roots(carried)
    install_bundle(carried, Layout(folder / ".localembed"), parse_places(given, roots))
    return Workspace(folder / ".localembed")


def shown(workspace) -> set[str]:
    return {hit.path for hit in workspace.query("keys wine", top_k=50, mode="vector")}


def test_a_bundle_names_its_roots_as_folders_of_another_machine(carried, there):
    assert [(root.path, root.elsewhere) for root in bundled_roots(carried)] == [
        (os.fsencode(there / "project" / "docs"), True),
        (os.fsencode(there / "outside"), True),
    ]


def test_the_same_index_gives_the_same_bundle(carried, there, tmp_path):
    workspace = localembed.open(there / "project")
    before = workspace.layout.config.read_bytes()

    create_bundle((), tmp_path / "again.tar", workspace.layout, with_index=True)

    assert (tmp_path / "again.tar").read_bytes() == carried.read_bytes()
    assert workspace.layout.config.read_bytes() == before


def test_without_a_mapping_queries_work_and_nothing_is_read(carried, there, tmp_path, fake):
    here = tmp_path / "here"
    here.mkdir()
    for folder in ("docs", "outside"):  # files of this machine, at the same relative places
        (here / folder).mkdir()
        (here / folder / "0.md").write_text("A private text of this machine.")
    (there / "outside" / "private.md").write_text("Another private text.")

    workspace = install(carried, here)

    assert len(shown(workspace)) == 6
    assert not [path for path in shown(workspace) if path.startswith(str(here))]
    report = workspace.index()
    assert (report.exit_code, report.changed, report.chunks.total) == (5, False, 6)
    for sentence, root in zip(report.refused, ("project/docs", "outside"), strict=True):
        assert f"{there / root} is on another machine" in sentence
        assert f"localembed roots move {there / root} NEW" in sentence
    assert fake.embedded == []
    assert [listed.missing for listed in workspace.list_roots().roots] == [True, True]


def test_a_query_says_which_folder_is_of_another_machine(carried, tmp_path):
    from localembed.types.queries import Query

    workspace = install(carried, tmp_path / "here")
    notices: list[str] = []

    workspace.search(Query("wine", mode="text"), notices.append)

    assert len(notices) == 1
    assert "outside is a folder of another machine" in notices[0]


def test_a_mapped_root_is_refreshed_with_nothing_embedded(carried, there, tmp_path, fake):
    here = tmp_path / "here"
    shutil.copytree(there / "project" / "docs", here / "texts")

    workspace = install(carried, here, f"{there / 'project' / 'docs'}={here / 'texts'}")

    assert (here / ".localembed" / "config.toml").read_text().count('path = "texts"') == 1
    report = workspace.index([here / "texts"])
    assert (report.files.unchanged, report.chunks.embedded, fake.embedded) == (3, 0, [])
    assert str(here / "texts" / "0.md") in shown(workspace)
    assert [root.elsewhere for root in workspace.roots] == [False, True]


def test_indexing_a_copy_of_a_root_continues_it(carried, there, tmp_path, fake):
    here = tmp_path / "here"
    shutil.copytree(there / "outside", here / "wines")
    workspace = install(carried, here)

    report = workspace.index([here / "wines"])

    assert (report.files.unchanged, report.chunks.total, fake.embedded) == (3, 6, [])
    assert [root.elsewhere for root in workspace.roots] == [True, False]


def test_a_folder_of_the_same_path_with_other_files_is_not_the_root(carried, there, tmp_path):
    workspace = install(carried, tmp_path / "here")
    for path in (there / "outside").iterdir():
        path.unlink()
    (there / "outside" / "0.md").write_text("A text of this machine.")

    report = workspace.index([there / "outside"])

    assert (report.files.added, report.files.removed, report.chunks.total) == (1, 0, 7)
    assert len(workspace.roots) == 3
    assert [hit.text for hit in workspace.show(str(there / "outside" / "0.md"))] == [
        "A text of this machine."
    ]


def test_roots_move_and_rm_take_what_is_elsewhere(carried, there, tmp_path, fake):
    here = tmp_path / "here"
    shutil.copytree(there / "outside", here / "wines")
    workspace = install(carried, here)

    workspace.move_root(there / "outside", here / "wines")
    report = workspace.remove(there / "project" / "docs")

    assert report is not None
    assert report.files.removed == 3

    assert shown(workspace) == {str(here / "wines" / f"{n}.md") for n in range(3)}
    assert (workspace.index().changed, fake.embedded) == (False, [])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("/unknown={}", "names no root of the bundle as OLD=NEW. Its roots: /"),
        ("just words", "names no root of the bundle as OLD=NEW"),
        ("OUTSIDE={}/nowhere", "nowhere does not exist. Nothing was installed"),
        ("OUTSIDE=", "NEW does not exist. Nothing was installed"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused_before_anything_is_installed(
    carried, there, tmp_path, given, sentence
):
    text = given.format(tmp_path).replace("OUTSIDE", str(there / "outside"))

    with pytest.raises(UsageError, match=sentence):
        install(carried, tmp_path / "here", text)

    assert not (tmp_path / "here").exists()


def test_a_mapping_to_another_folder_leaves_the_root_elsewhere(carried, there, tmp_path):
    (tmp_path / "other").mkdir()

    with pytest.raises(UsageError, match=r"The index is installed, but .* None of"):
        install(carried, tmp_path / "here", f"{there / 'outside'}={tmp_path / 'other'}")

    workspace = Workspace(tmp_path / "here" / ".localembed")
    assert [root.elsewhere for root in workspace.roots] == [True, True]
    assert len(shown(workspace)) == 6


def test_a_path_with_an_equals_sign_is_mapped(workspace, notes, tmp_path):
    for name in ("a", "a=b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.md").write_text(f"Words of {name}.")
    workspace.index([tmp_path / "a", tmp_path / "a=b"])

    places = parse_places([f"{tmp_path}/a=b={tmp_path}"], workspace.roots)

    assert places == {workspace.roots[1].root_id: str(tmp_path)}


def test_a_bundle_whose_roots_claim_to_be_here_is_not_believed(carried, there, tmp_path, fake):
    """A bundle of another make, with its digests right."""
    from localembed.models import bundle

    raw = localembed.open(there / "project")
    bundle.create_bundle((), tmp_path / "raw.tar", raw.layout, with_index=True)
    with tarfile.open(tmp_path / "raw.tar") as archive:
        member = archive.extractfile("index/config.toml")
        assert member is not None
        assert b"elsewhere" not in member.read()

    workspace = install(tmp_path / "raw.tar", tmp_path / "here")

    assert [root.elsewhere for root in workspace.roots] == [True, True]
    assert workspace.index().exit_code == 5


def test_the_commands_say_where_the_roots_are(carried, there, tmp_path, run_cli):
    place = ("--workspace", tmp_path / "here" / ".localembed")
    copy = shutil.copytree(there / "outside", tmp_path / "here" / "wines")

    done = run_cli(
        "models", "bundle", "install", carried, "--root", f"{there / 'outside'}={copy}", *place
    )

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert f"Root {copy}" in lines
    assert any("docs is not here; run: localembed roots move" in line for line in lines)
    listed = json.loads(run_cli("roots", "--json", *place).stdout)["roots"]
    assert [root["elsewhere"] for root in listed] == [True, False]
    found = run_cli("query", "keys", *place)
    assert "is a folder of another machine" in found.stderr


def test_the_installed_roots_are_in_the_json(carried, tmp_path, run_cli):
    done = run_cli("models", "bundle", "install", carried, "--workspace", tmp_path / "ws", "--json")

    assert [root["elsewhere"] for root in json.loads(done.stdout)["roots"]] == [True, True]


def test_a_terminal_is_asked(carried, there, tmp_path):
    copy = shutil.copytree(there / "outside", tmp_path / "wines")
    shown = ask(
        ["models", "bundle", "install", str(carried), "--workspace", str(tmp_path / "ws")],
        ["", str(tmp_path / "nowhere"), str(copy)],
        tmp_path,
    )

    assert "nowhere does not exist" in shown
    assert [root.elsewhere for root in Workspace(tmp_path / "ws").roots] == [True, False]


def ask(arguments, answers, folder) -> str:
    """Run a command in a terminal, type each answer, and return all that it showed."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fake_cli", *arguments],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "LOCALEMBED_MODEL": "fake"},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    left = list(answers)
    while select.select([ours], [], [], 60)[0]:
        try:
            shown += os.read(ours, 4096)
        except OSError:
            break
        if left and shown.rstrip().endswith(b"not here):"):
            os.write(ours, left.pop(0).encode() + b"\n")
            shown += b"\n"
    assert process.wait(60) == 0, shown.decode()
    os.close(ours)
    return shown.decode()
