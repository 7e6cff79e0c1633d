"""A workspace that moves, is copied, or whose roots are named by other spellings of their paths."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

import localembed
from localembed.core.paths import canonical, canonical_entry
from localembed.errors import NotTrustedError, UsageError
from localembed.workspace.workspace import Workspace
from tests.conftest import all_rows


@pytest.fixture
def project(tmp_path, fake):
    """A folder with a workspace of its own, two roots in it and one outside, indexed."""
    folder = tmp_path / "project"
    for name in ("docs", "notes"):
        (folder / name).mkdir(parents=True)
        (folder / name / "keys.md").write_text(f"Rotating api keys in {name}.")
        (folder / name / "garden.md").write_text(f"Compost needs air in {name}.")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "wine.md").write_text("Wine is stored lying down.")
    workspace = localembed.open(folder)
    workspace.index([folder / "docs", folder / "notes", outside])
    return folder


def stored_paths(folder: Path) -> list[str]:
    config = tomllib.loads((folder / ".localembed" / "config.toml").read_text())
    return [root["path"] for root in config["roots"]]


def found_below(workspace: Workspace) -> set[str]:
    """Return the paths of all hits of a few queries, which every document answers."""
    return {hit.path for mode in ("vector", "text") for hit in workspace.query(
        "rotating keys compost air wine", top_k=100, mode=mode)}  # fmt: skip


def test_roots_inside_the_parent_folder_are_stored_relative_to_it(project, tmp_path):
    assert stored_paths(project) == ["docs", "notes", str(tmp_path / "outside")]
    assert [root.path for root in localembed.open(project).roots] == [
        os.fsencode(path) for path in (project / "docs", project / "notes", tmp_path / "outside")
    ]


def test_the_parent_folder_itself_is_a_dot(notes, workspace):
    (notes / "a.md").write_text("Words.")
    workspace.index([notes])

    assert stored_paths(notes) == ["."]
    assert workspace.roots[0].path == os.fsencode(notes)


def test_a_moved_project_answers_and_refreshes_with_nothing_embedded(project, tmp_path, fake):
    before = found_below(localembed.open(project))
    fake.embedded.clear()
    moved = project.rename(tmp_path / "moved here")

    workspace = localembed.open(moved)
    assert found_below(workspace) == {path.replace(str(project), str(moved)) for path in before}
    report = workspace.index()
    assert (report.changed, report.files.unchanged, report.exit_code) == (False, 5, 0)
    assert report.chunks.embedded == 0
    assert fake.embedded == []
    (moved / "docs" / "new.md").write_text("A new file.")
    report = workspace.index()
    assert (report.files.added, report.chunks.embedded, report.chunks.total) == (1, 1, 6)


def test_a_copied_project_neither_shows_nor_indexes_the_original(project, tmp_path, fake):
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)
    (project / "docs" / "only in the original.md").write_text("Rotating keys of the original.")
    fake.embedded.clear()

    workspace = localembed.open(copy)
    with pytest.raises(NotTrustedError, match="the root "):
        workspace.index()
    localembed.trust(copy)
    assert not [path for path in found_below(workspace) if path.startswith(f"{project}/")]
    report = workspace.index()
    assert (report.files.unchanged, report.chunks.embedded, report.chunks.total) == (5, 0, 5)
    assert fake.embedded == []
    assert not [path for path in found_below(workspace) if path.startswith(f"{project}/")]


def test_absolute_roots_inside_are_written_as_relative_at_the_next_write(project, tmp_path):
    config = project / ".localembed" / "config.toml"
    config.write_text(config.read_text().replace('"docs"', f'"{project / "docs"}"'))
    workspace = localembed.open(project)
    assert workspace.index().changed is False

    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.md").write_text("More words.")
    workspace.index([tmp_path / "more"])

    assert stored_paths(project)[:2] == ["docs", "notes"]


def test_a_workspace_reached_through_a_link_has_the_roots_of_the_folder_it_is_in(project, tmp_path):
    (tmp_path / "link").symlink_to(project / ".localembed")

    linked = Workspace(tmp_path / "link")

    assert linked.roots == localembed.open(project).roots


def test_an_odd_name_inside_the_parent_folder_survives_a_move(tmp_path, fake):
    folder = tmp_path / "project"
    odd = folder / os.fsdecode(b"bytes\xff \n'\"\\")
    odd.mkdir(parents=True)
    (odd / "a.md").write_text("Words.")
    localembed.open(folder).index([odd])

    workspace = localembed.open(folder.rename(tmp_path / "moved"))

    assert workspace.roots[0].path == os.fsencode(tmp_path / "moved" / odd.name)
    assert workspace.index().changed is False


def test_in_an_ascii_locale_a_root_is_the_same(run_cli, tmp_path):
    folder = tmp_path / "höhe"
    folder.mkdir()
    (folder / "a.md").write_text("Words.")
    ascii_only = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}

    first = run_cli("index", "höhe", "--workspace", "ws", "--json")
    second = run_cli("index", "--workspace", "ws", "--json", env=ascii_only)

    assert first.returncode == 0, first.stderr
    assert second.returncode == 0, second.stderr
    assert '"changed": false' in second.stdout


def test_a_workspace_below_the_top_of_the_disk_stores_roots_as_absolute(tmp_path, fake):
    from localembed.workspace.config_file import _relative

    assert _relative(b"/home/you", b"/") == b"/home/you"
    assert _relative(b"/home/you", b"/home") == b"you"


@pytest.mark.parametrize("spelling", ["{}/", "{}/../notes", "{}/.", "link", "link/sub/.."])
def test_another_spelling_of_a_root_is_that_root(workspace, notes, tmp_path, fake, spelling):
    (notes / "sub").mkdir()
    (notes / "a.md").write_text("Words.")
    workspace.index([notes])
    (tmp_path / "link").symlink_to(notes)
    fake.embedded.clear()

    report = workspace.index([f"{tmp_path}/{spelling.format('notes')}"])

    assert (report.changed, len(workspace.roots), fake.embedded) == (False, 1, [])


def test_a_root_whose_folder_became_a_link_stays_one_root(tmp_path, fake):
    root = tmp_path / "notes"
    root.mkdir()
    (root / "a.md").write_text("Words.")
    workspace = Workspace(tmp_path / "elsewhere" / "ws")
    workspace.index([root])
    root.rename(tmp_path / "disk")
    root.symlink_to(tmp_path / "disk")

    for named in (root, tmp_path / "disk", root / "a.md"):
        assert workspace.index([named]).changed is False
    assert len(workspace.roots) == 1


@pytest.fixture
def mounted(tmp_path):
    """Mount a folder at a second place."""
    mounts: list[Path] = []

    def mount(folder: Path, place: Path) -> Path:
        place.mkdir()
        done = subprocess.run(["mount", "--bind", folder, place], capture_output=True, check=False)
        if done.returncode:
            pytest.skip("this user cannot mount")
        mounts.append(place)
        return place

    yield mount
    for place in reversed(mounts):
        subprocess.run(["umount", place], check=True)


def test_a_folder_mounted_twice_is_one_root(workspace, notes, tmp_path, mounted, fake):
    (notes / "sub").mkdir()
    (notes / "sub" / "a.md").write_text("Words.")
    workspace.index([notes])
    again = mounted(notes, tmp_path / "again")
    fake.embedded.clear()

    for named in (again, again / "sub", again / "sub" / "a.md"):
        assert workspace.index([named]).changed is False
    assert (len(workspace.roots), fake.embedded) == (1, [])


def test_a_parent_that_is_mounted_elsewhere_takes_its_children_over(
    workspace, notes, tmp_path, mounted, fake
):
    (notes / "sub").mkdir()
    (notes / "sub" / "a.md").write_text("Words.")
    workspace.index([notes / "sub"])
    again = mounted(notes, tmp_path / "again")
    fake.embedded.clear()

    workspace.index([again])

    assert [root.path for root in workspace.roots] == [os.fsencode(again)]
    assert len(all_rows(workspace)) == 1
    assert fake.embedded == []


def test_hard_links_are_files_of_their_own(workspace, notes, tmp_path):
    (notes / "a.md").write_text("Words.")
    (tmp_path / "b.md").hardlink_to(notes / "a.md")

    workspace.index([notes / "a.md", tmp_path / "b.md"])

    assert len(workspace.roots) == 2


@pytest.fixture
def folded_names(tmp_path, monkeypatch):
    """Let `os.lstat` ignore case and Unicode forms; this machine has no such file system."""
    import unicodedata

    top = os.fsencode(tmp_path)
    real = os.lstat

    def folded(name: bytes) -> str:
        return unicodedata.normalize("NFC", os.fsdecode(name)).casefold()

    def lstat(path, **options):
        raw = os.fsencode(path)
        if raw.startswith(top + b"/"):
            at = top
            for part in raw[len(top) + 1 :].split(b"/"):
                same = [name for name in os.listdir(at) if folded(name) == folded(part)]  # noqa: PTH208
                at = os.path.join(at, *(same or [part]))  # noqa: PTH118 - bytes
            raw = at
        return real(raw, **options)

    monkeypatch.setattr(os, "lstat", lstat)


@pytest.mark.parametrize("spelled", ["NOTES/Über", "notes/U\u0308ber", "Notes/u\u0308BER"])
def test_a_name_is_spelled_as_its_folder_lists_it(tmp_path, folded_names, spelled):
    (tmp_path / "notes" / "Über").mkdir(parents=True)

    for spelling in (canonical, canonical_entry):
        found = spelling(os.fsencode(tmp_path / spelled))
        assert found == os.fsencode(tmp_path / "notes" / "Über")


def test_rm_takes_out_the_file_that_another_spelling_opens(workspace, notes, folded_names):
    (notes / "Über.md").write_text("Words.")
    (notes / "b.md").write_text("Other words.")
    workspace.index([notes])

    assert workspace.remove(notes / "U\u0308BER.MD").files.removed == 1


def test_rm_of_a_link_in_a_root_leaves_its_target(workspace, notes):
    (notes / "a.md").write_text("Words.")
    (notes / "link.md").symlink_to(notes / "a.md")
    workspace.index([notes])

    assert workspace.remove(notes / "link.md").files.removed == 0
    assert [hit.path for hit in workspace.query("words")] == [str(notes / "a.md")]


def test_names_that_differ_only_in_case_stay_apart(workspace, tmp_path):
    for name in ("notes", "Notes", "NOTES"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "a.md").write_text(f"Words of {name}.")

    workspace.index([tmp_path / "notes", tmp_path / "Notes", tmp_path / "NOTES"])

    assert len(workspace.roots) == 3


def test_a_root_that_is_missing_names_roots_move(workspace, notes, tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.md").write_text("Words.")
    workspace.index([tmp_path / "outside"])
    (tmp_path / "outside").rename(tmp_path / "moved")

    report = workspace.index()

    assert report.exit_code == 5
    assert f"localembed roots move {tmp_path / 'outside'} NEW" in report.refused[0]
    with pytest.raises(UsageError, match="does not exist"):
        workspace.index([tmp_path / "outside" / "a.md"])


@pytest.fixture
def moved_outside(project, tmp_path, fake):
    """A workspace whose root outside of it has moved."""
    fake.embedded.clear()
    (tmp_path / "outside").rename(tmp_path / "moved")
    return localembed.open(project)


def test_a_moved_root_is_found_again_with_nothing_embedded(moved_outside, tmp_path, fake):
    before = moved_outside.roots[2].root_id

    moved = moved_outside.move_root(tmp_path / "outside", tmp_path / "moved")

    assert (moved.root.root_id, moved.looked_at, moved.found) == (before, 1, 1)
    assert str(tmp_path / "moved" / "wine.md") in found_below(moved_outside)
    report = moved_outside.index()
    assert (report.changed, report.exit_code, fake.embedded) == (False, 0, [])


def test_a_root_is_named_by_its_id_or_from_the_current_folder(moved_outside, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    moved_outside.move_root("outside", "moved")
    (tmp_path / "moved").rename(tmp_path / "again")
    moved_outside.move_root(moved_outside.roots[2].root_id, "again/.")

    assert moved_outside.roots[2].path == os.fsencode(tmp_path / "again")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("outside", "nowhere", "nowhere does not exist"),
        ("unknown", "moved", "unknown is no root of this workspace. Roots: "),
        ("project/docs/keys.md", "moved", "is inside the root .*; only a whole root moves"),
        ("outside", "project/docs", "is in the root .*/docs, which indexes it already"),
        ("outside", "project/docs/sub", "is in the root .*/docs, which indexes it already"),
        ("outside", "project", "holds the root .*/docs. Remove that first"),
        ("outside", "moved/wine.md", "is a folder, but .*/wine.md is a file. Name the folder"),
        ("outside", "empty", "None of the files of the root .*/outside is in .*/empty"),
        ("outside", "pipe", "is neither a folder nor a file"),
    ],
)
def test_a_move_that_cannot_be_is_refused_and_changes_nothing(
    moved_outside, project, tmp_path, old, new, sentence
):
    (project / "docs" / "sub").mkdir()
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    before = moved_outside.layout.config.read_bytes()

    with pytest.raises(UsageError, match=sentence):
        moved_outside.move_root(tmp_path / old, tmp_path / new)

    assert moved_outside.layout.config.read_bytes() == before


def test_a_root_that_is_a_file_moves_to_a_file(workspace, notes, tmp_path, fake):
    (notes / "a.md").write_text("Words.")
    workspace.index([notes / "a.md"])
    (notes / "a.md").rename(tmp_path / "b.md")
    fake.embedded.clear()

    with pytest.raises(UsageError, match=r"is a file, but .* is a folder\. Name"):
        workspace.move_root(notes / "a.md", notes)
    workspace.move_root(notes / "a.md", tmp_path / "b.md")

    assert (workspace.index().changed, fake.embedded) == (False, [])
    assert [hit.path for hit in workspace.query("words")] == [str(tmp_path / "b.md")]


def test_a_root_may_move_into_or_out_of_its_own_folder(workspace, notes, fake):
    (notes / "inner").mkdir()
    (notes / "a.md").write_text("Words.")
    workspace.index([notes])
    (notes / "a.md").rename(notes / "inner" / "a.md")

    workspace.move_root(notes, notes / "inner")

    assert stored_paths(notes) == ["inner"]
    assert workspace.index().changed is False


def test_a_root_that_config_toml_lost_is_moved_by_its_id(project, tmp_path, fake):
    workspace = localembed.open(project)
    lost = workspace.roots[2].root_id
    config = workspace.layout.config
    config.write_text(config.read_text()[: config.read_text().rindex("[[roots]]")])
    fake.embedded.clear()

    moved = workspace.move_root(lost, tmp_path / "outside")

    assert (moved.old, moved.found) == (b"", 1)
    assert (workspace.index().changed, fake.embedded) == (False, [])


def test_a_writer_in_progress_refuses_a_move(moved_outside, tmp_path):
    from localembed.errors import LockedError
    from localembed.store.lock import writer_lock

    with writer_lock(moved_outside.layout), pytest.raises(LockedError):
        moved_outside.move_root(tmp_path / "outside", tmp_path / "moved")


@pytest.fixture
def old_project(project, tmp_path):
    """A project of an older localembed, whose roots inside are absolute paths."""
    config = project / ".localembed" / "config.toml"
    for name in ("docs", "notes"):
        config.write_text(config.read_text().replace(f'"{name}"', f'"{project / name}"'))
    return project


def test_an_old_project_that_has_moved_names_what_is_missing(old_project, tmp_path, fake):
    moved = old_project.rename(tmp_path / "moved")
    fake.embedded.clear()

    workspace = localembed.open(moved)
    with pytest.raises(NotTrustedError, match="the root "):
        workspace.index()  # its roots are outside of it now
    localembed.trust(moved)
    report = workspace.index()
    assert (report.exit_code, report.chunks.total) == (5, 5)
    assert [sentence.split(" is missing")[0] for sentence in report.refused] == [
        str(old_project / "docs"),
        str(old_project / "notes"),
    ]
    workspace.move_root(old_project / "docs", moved / "docs")
    report = workspace.index([moved / "notes"])  # naming the folder does it, too

    assert (report.changed, fake.embedded) == (False, [])
    assert stored_paths(moved) == ["docs", str(tmp_path / "outside"), "notes"]


def test_a_copy_of_a_missing_root_is_a_root_of_its_own(project, tmp_path, fake):
    """The original may only be on a disk that is not mounted now."""
    workspace = localembed.open(project)
    shutil.copytree(tmp_path / "outside", tmp_path / "copied")
    (tmp_path / "outside").rename(tmp_path / "unmounted")
    fake.embedded.clear()

    workspace.index([tmp_path / "copied"])
    (tmp_path / "unmounted").rename(tmp_path / "outside")

    assert len(workspace.roots) == 4
    assert (workspace.index().exit_code, fake.embedded) == (0, [])
