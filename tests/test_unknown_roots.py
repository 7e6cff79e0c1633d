"""Roots that config.toml lost: their rows are hidden, continued by their folder, or removed."""

from __future__ import annotations

import re
import shutil

import pytest

import localembed
from localembed.checkup import doctor
from localembed.core.files import read_json, write_json
from localembed.errors import NotIndexedError, StorageError, UsageError
from localembed.store.manifest import Manifest
from localembed.types.queries import Query
from tests.conftest import all_rows, current_table


@pytest.fixture
def two(workspace, notes, tmp_path, fake):
    """A workspace with the roots `notes` and `other`, of three files each."""
    other = tmp_path / "other"
    other.mkdir()
    for folder in (notes, other):
        for number in range(3):
            (folder / f"{number}.md").write_text(f"Kept words of {folder.name} {number}.")
    workspace.index([notes, other])
    fake.embedded.clear()
    return workspace


@pytest.fixture
def other(tmp_path):
    return tmp_path / "other"


def cut_out(workspace, path) -> str:
    """Edit a root's block out of config.toml; return its id."""
    text = workspace.layout.config.read_text()
    head, *blocks = re.split(r"(?m)^(?=\[\[roots\]\])", text)
    gone = next(block for block in blocks if f'"{path}"' in block)
    workspace.layout.config.write_text(head + "".join(b for b in blocks if b != gone))
    return gone.split('id = "')[1].split('"')[0]


def shown(workspace, mode="vector", **options) -> set[str]:
    return {hit.path for hit in workspace.query("kept words", mode=mode, top_k=50, **options)}


@pytest.mark.parametrize("mode", ["vector", "text", "hybrid"])
def test_rows_of_an_unknown_root_are_not_shown(two, notes, other, mode):
    root_id = cut_out(two, other)

    for _ in range(3):  # the second keeps the vectors in memory
        assert shown(two, mode) == {str(notes / f"{n}.md") for n in range(3)}
    assert two.status().unknown_roots == {root_id: 3}


def test_an_unknown_row_does_not_take_the_place_of_a_known_one(two, other, notes):
    cut_out(two, other)

    hits = two.query("kept words of other 1", top_k=3)

    assert {hit.path for hit in hits} == {str(notes / f"{n}.md") for n in range(3)}


def test_an_unknown_chunk_is_neither_shown_nor_compared(two, other, notes):
    chunk_id = two.show(str(other / "1.md"))[0].chunk_id
    cut_out(two, other)

    assert two.show(chunk_id) == []
    with pytest.raises(UsageError, match="is not indexed"):
        two.like(Query(chunk_id, mode="vector"))
    hits = two.like(Query(str(notes / "1.md"), mode="vector", top_k=50)).hits
    assert {hit.path for hit in hits} == {str(notes / f"{n}.md") for n in (0, 2)}
    with pytest.raises(UsageError, match="in no root"):
        two.show(str(other / "1.md"))


def test_the_folder_of_an_unknown_root_continues_it(two, other, fake):
    root_id = cut_out(two, other)

    report = two.index([other])

    assert (report.changed, report.files.unchanged, report.chunks.embedded) == (False, 3, 0)
    assert [root.root_id for root in two.roots][-1] == root_id
    assert len(all_rows(two)) == 6
    assert (two.status().unknown_roots, fake.embedded) == ({}, [])
    assert str(other / "1.md") in shown(two)


def test_a_copy_of_the_folder_continues_it_too(two, other, tmp_path, fake):
    root_id = cut_out(two, other)
    copied = shutil.copytree(other, tmp_path / "copied")
    shutil.rmtree(other)

    report = two.index([copied])

    assert (report.files.unchanged, report.chunks.embedded, report.chunks.total) == (3, 0, 6)
    assert [root.root_id for root in two.roots][-1] == root_id
    assert fake.embedded == []


def test_a_folder_that_changed_meanwhile_still_continues_its_root(two, other, fake):
    root_id = cut_out(two, other)
    (other / "0.md").unlink()
    (other / "1.md").write_text("Quite another text.")
    (other / "new.md").write_text("A new text.")

    report = two.index([other])

    assert [root.root_id for root in two.roots][-1] == root_id
    files = report.files
    assert (files.added, files.changed, files.removed, files.unchanged) == (1, 1, 1, 1)
    assert (report.chunks.embedded, report.chunks.total) == (2, 6)


def test_another_folder_with_the_same_names_continues_nothing(two, other, tmp_path):
    root_id = cut_out(two, other)
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    for number in range(3):
        (stranger / f"{number}.md").write_text(f"A text of somebody else {number}.")

    notices: list[str] = []
    report = two.index([stranger], on_notice=notices.append)

    assert (report.files.added, report.files.removed, report.chunks.total) == (3, 0, 9)
    assert two.status().unknown_roots == {root_id: 3}
    assert notices == [
        "3 files of a root that config.toml does not list are stored and not shown. To continue "
        f"with it: localembed index FOLDER; to remove it: localembed rm {root_id}"
    ]


def test_a_root_that_is_a_file_is_continued(workspace, notes, fake):
    (notes / "a.md").write_text("Some words.")
    (notes / "b.md").write_text("Other words.")
    workspace.index([notes / "a.md", notes / "b.md"])
    root_id = cut_out(workspace, "a.md")
    fake.embedded.clear()

    report = workspace.index([notes / "a.md"])

    assert (report.changed, report.chunks.total, fake.embedded) == (False, 2, [])
    assert root_id in {root.root_id for root in workspace.roots}


def test_after_a_lost_config_each_folder_continues_its_root(two, notes, other, fake):
    before = [(root.root_id, root.path) for root in two.roots]
    rows = all_rows(two)
    two.layout.config.unlink()

    with pytest.raises(NotIndexedError, match="lists none of the roots"):
        two.query("kept words")
    with pytest.raises(UsageError, match="lists no root, but 6 files of roots that it listed"):
        two.index()
    assert two.index([notes]).changed is False
    assert shown(two) == {str(notes / f"{n}.md") for n in range(3)}
    assert two.index([other]).changed is False
    assert [(root.root_id, root.path) for root in two.roots] == before
    assert (all_rows(two), fake.embedded) == (rows, [])


def test_config_and_manifest_lost_together_lose_nothing(two, notes, other, fake):
    rows = all_rows(two)
    two.layout.config.unlink()
    two.layout.manifest.unlink()

    two.index([notes])
    report = two.index([other])

    assert (report.chunks.total, report.files.removed) == (6, 0)
    assert (all_rows(two), fake.embedded) == (rows, [])


def test_a_dry_run_sees_that_nothing_would_be_embedded(two, other):
    cut_out(two, other)
    before = two.layout.config.read_bytes()

    assert two.preview([other]).estimate.embedded == 0
    assert two.layout.config.read_bytes() == before


def test_rm_removes_an_unknown_root_by_its_id(two, other):
    root_id = cut_out(two, other)

    report = two.remove(root_id)

    assert (report.files.removed, report.chunks.removed, report.chunks.total) == (3, 3, 3)
    assert two.status().unknown_roots == {}
    assert [finding.check for finding in doctor(two).findings if finding.verdict == "wrong"] == []


def test_rm_removes_a_known_root_by_its_id(two, other):
    root_id = two.roots[1].root_id

    assert two.remove(root_id).files.removed == 3
    assert root_id not in {root.root_id for root in two.roots}


def test_a_file_named_like_a_root_id_wins(two, notes, monkeypatch):
    monkeypatch.chdir(notes)
    root_id = two.roots[1].root_id
    (notes / root_id).write_text("Words.")
    two.index([notes])

    assert two.remove(root_id).files.removed == 1
    assert len(two.roots) == 2


def test_doctor_finds_an_unknown_root_and_takes_it_out(two, other, fake):
    root_id = cut_out(two, other)

    found = doctor(two)

    wrong = [finding for finding in found.findings if finding.verdict == "wrong"]
    assert [finding.check for finding in wrong] == ["roots"]
    assert root_id in wrong[0].text
    repaired = doctor(two, repair=True)
    assert repaired.verdict == "ok"
    assert any("Removed 3 files" in text for text in repaired.fixed)
    assert "Embedded 0 chunks again" in repaired.fixed
    assert len(all_rows(two)) == 3


def test_doctor_takes_out_an_unknown_root_whose_rows_head_does_not_count(two, other):
    """Rows decide, also where head.json says nothing of their roots."""
    from dataclasses import replace

    from localembed.store.head import publish_head, read_head

    name, entry = current_table(two)
    publish_head(two.layout, read_head(two.layout).with_table(
        name, replace(entry, roots={}), default=False))  # fmt: skip
    cut_out(two, other)

    assert str(other / "1.md") not in shown(two)
    assert doctor(two).verdict == "wrong"
    assert doctor(two, repair=True).verdict == "ok"
    assert len(all_rows(two)) == 3


@pytest.mark.parametrize("lost", ["deleted", "emptied"])
def test_doctor_deletes_nothing_when_the_whole_config_is_lost(two, notes, lost):
    two.layout.config.unlink() if lost == "deleted" else two.layout.config.write_text("")

    repaired = doctor(two, repair=True)

    assert repaired.verdict == "wrong"
    assert repaired.fixed == ()
    assert len(all_rows(two)) == 6
    wrong = next(finding for finding in repaired.findings if finding.verdict == "wrong")
    assert wrong.fix == "localembed index FOLDER"


def test_rows_that_a_killed_rm_left_are_not_shown_and_go_with_the_next_run(two, other):
    root_id = cut_out(two, other)
    text = two.layout.config.read_text()
    two.layout.config.write_text(f'forgotten = ["{root_id}"]\n{text}')

    assert str(other / "1.md") not in shown(two)
    assert two.status().unknown_roots == {}
    report = two.index([other])
    assert (report.files.renamed, report.chunks.embedded, report.chunks.total) == (3, 0, 6)


def test_a_restored_version_shows_no_removed_root_until_it_is_named(two, other, fake):
    two.remove(other)
    two.history.restore("1")

    assert str(other / "1.md") not in shown(two)
    assert list(two.status().unknown_roots.values()) == [3]
    assert two.index([other]).changed is False
    assert str(other / "1.md") in shown(two)
    assert fake.embedded == []


def test_two_blocks_of_one_folder_become_one(two, other):
    text = two.layout.config.read_text()
    two.layout.config.write_text(f'{text}\n[[roots]]\nid = "twin"\npath = "{other}/."\n')

    assert two.index().changed is False
    assert len(two.roots) == 2
    assert "twin" not in two.layout.config.read_text()


def test_a_parent_of_lost_roots_takes_their_files_over(two, notes, other, tmp_path, fake):
    two.layout.config.unlink()

    report = two.index([tmp_path])

    assert (report.files.added, report.files.renamed, report.files.removed) == (0, 6, 0)
    assert (len(all_rows(two)), fake.embedded) == (6, [])
    assert two.status().unknown_roots == {}
    assert two.index().changed is False


def test_a_lost_root_that_was_indexed_twice_goes_with_the_next_run(two, other, fake):
    """Its rows are there twice: an older localembed did not recognise the folder."""
    cut_out(two, other)
    text = two.layout.config.read_text()
    two.layout.config.write_text(f'{text}\n[[roots]]\nid = "again"\npath = "{other}"\n')

    report = two.index()

    assert (report.files.renamed, report.chunks.total, fake.embedded) == (3, 6, [])
    assert two.status().unknown_roots == {}


def test_a_lost_root_of_which_another_root_has_a_part_stays(two, notes, other):
    root_id = cut_out(two, other)
    (notes / "vendored").mkdir()
    shutil.copy(other / "1.md", notes / "vendored" / "1.md")

    two.index()

    assert two.status().unknown_roots == {root_id: 3}


def test_a_version_from_before_a_take_over_is_restored_without_double_rows(workspace, notes, fake):
    (notes / "sub").mkdir()
    (notes / "sub" / "a.md").write_text("Some words.")
    workspace.index([notes / "sub"])
    workspace.index([notes])
    fake.embedded.clear()

    workspace.history.restore("1")
    workspace.index()

    assert len(all_rows(workspace)) == 1
    assert [hit.path for hit in workspace.query("some words")] == [str(notes / "sub" / "a.md")]
    assert (workspace.status().unknown_roots, fake.embedded) == ({}, [])


def test_a_table_of_another_workspace_is_damage(two, notes, tmp_path, fake):
    name, _ = current_table(two)
    stranger = localembed.Workspace(tmp_path / "stranger" / "ws")
    stranger.index([notes])
    (notes / "new.md").write_text("A new text.")
    shutil.rmtree(two.layout.table(name))
    shutil.copytree(stranger.layout.table(name), two.layout.table(name))
    sentence = "is not the table that head.json describes"

    for use in (lambda: localembed.Workspace(two.folder).query("words", mode="text"), two.index):
        with pytest.raises(StorageError, match=sentence) as refused:
            use()
        assert "localembed doctor --repair" in str(refused.value)
    assert any(sentence in finding.text for finding in doctor(two).findings)

    assert doctor(two, repair=True).verdict == "note"  # what was set aside
    assert two.index().changed is False
    assert len(all_rows(two)) == 7
    assert str(notes / "new.md") in shown(two)


def test_a_lost_table_is_built_again_also_after_a_kill(two, run_cli, notes):
    name, _ = current_table(two)
    shutil.rmtree(two.layout.table(name))

    killed = run_cli("index", "--workspace", two.folder, env={"STOP_AT": "added:1"})

    assert killed.returncode != 0
    assert two.index().exit_code == 0
    assert len(all_rows(two)) == 6
    assert Manifest(two.layout).marks()[name].uuid == current_table(two)[1].uuid


def test_a_damaged_count_of_roots_is_a_damaged_head(two):
    head = read_json(two.layout.head)
    next(iter(head["tables"].values()))["roots"] = ["x"]
    write_json(two.layout.head, head)

    with pytest.raises(StorageError, match="is damaged"):
        two.status()
