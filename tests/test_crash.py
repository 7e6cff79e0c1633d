"""Killed at each step of the commit order: the next run completes and equals a clean build."""

from __future__ import annotations

import json
import shutil

import pytest

import localembed
from localembed import doctor
from localembed.errors import LockedError, NotIndexedError
from localembed.store.head import read_head
from localembed.store.lance.maintenance import Maintenance
from localembed.store.lock import writer_lock
from localembed.types.events import RunEvent, Step
from localembed.types.limits import Limits
from tests.conftest import all_rows, paragraphs
from tests.sweeps import sampled

STEPS = ("claimed", "added", "deleted", "synced", "recorded", "published", "finished")
FILES = 9
BATCH = 12


def write_first(notes) -> None:
    for n in range(FILES):
        (notes / f"{n}.md").write_text(paragraphs(6, f"f{n}"))


def write_second(notes) -> None:
    """Change some, add one, remove one, rename one."""
    for n in range(4):
        (notes / f"{n}.md").write_text(paragraphs(6, f"f{n}") + "\n\n" + paragraphs(2, f"new{n}"))
    (notes / "added.md").write_text(paragraphs(5, "added"))
    (notes / "7.md").unlink()
    (notes / "8.md").rename(notes / "renamed.md")


def clean_build(notes, tmp_path):
    clean = localembed.Workspace(tmp_path / "clean")
    clean.index([notes])
    return sorted(row[1:] for row in all_rows(clean))


def assert_equals_clean_build(workspace, notes, tmp_path) -> None:
    rows = all_rows(workspace)
    assert len({row[0] for row in rows}) == len(rows), "a chunk is stored twice"
    assert sorted(row[1:] for row in rows) == clean_build(notes, tmp_path)
    assert not workspace.index().changed


def kill(run_cli, notes, step: str, number: int) -> bool:
    """Index with small batches until a step is reached; tell whether that happened."""
    settings = {"STOP_AT": f"{step}:{number}", "BATCH_CHUNKS": str(BATCH)}
    done = run_cli("index", "-q", cwd=notes, env=settings)
    assert done.returncode in (0, -9), done.stderr
    return bool(done.returncode == -9)


@pytest.mark.parametrize(
    ("step", "number"),
    sampled(
        [
            ("embedded", 3),
            ("embedded", 1),
            ("claimed", 1),
            *((step, n) for step in ("added", "synced", "recorded", "published") for n in (3, 1)),
        ],
        3,
    ),
)
def test_a_first_build_killed_at_a_step_completes(
    workspace, notes, run_cli, tmp_path, step, number
):
    write_first(notes)

    assert kill(run_cli, notes, step, number)

    report = workspace.index()
    # While one window is embedded, the last may still be being written.
    committed = max(0, number - 2) if step == "embedded" else number
    if step != "claimed":
        assert report.chunks.embedded <= report.chunks.total - committed * BATCH
    assert_equals_clean_build(workspace, notes, tmp_path)


@pytest.mark.parametrize(
    ("step", "number"), sampled([("added", 2), ("recorded", 2), *((step, 1) for step in STEPS)], 2)
)
def test_a_refresh_killed_at_a_step_shows_the_old_state_then_completes(
    workspace, notes, run_cli, tmp_path, step, number
):
    write_first(notes)
    workspace.index()
    pinned = read_head(workspace.layout)
    write_second(notes)

    killed = kill(run_cli, notes, step, number)

    if killed and step not in ("published", "finished"):
        assert read_head(workspace.layout) == pinned
        assert workspace.query("f7word1x1", mode="text"), "readers must still see the old state"
        assert not workspace.query("addedword1x1", mode="text")
    workspace.index()
    assert workspace.query("addedword1x1", mode="text")
    assert not workspace.query("f7word1x1", mode="text")
    assert_equals_clean_build(workspace, notes, tmp_path)


def test_rows_of_a_killed_run_keep_their_number_to_themselves(workspace, notes, run_cli):
    write_first(notes)
    run_cli("index", "-q", cwd=notes, env={"STOP_AT": "added:1"})

    report = workspace.index()

    assert report.run == 2
    states = [
        json.loads((workspace.folder / "runs" / f"{n}.json").read_text())["state"] for n in (1, 2)
    ]
    assert states == ["started", "done"]


def test_a_lost_manifest_is_rebuilt_and_nothing_embedded(workspace, notes, fake):
    write_first(notes)
    workspace.index()
    fake.embedded.clear()
    for path in workspace.folder.glob("manifest.duckdb*"):
        path.unlink()

    report = workspace.index()

    assert (report.changed, report.files.unchanged, fake.embedded) == (False, FILES, [])
    assert workspace.layout.manifest.exists()


@pytest.mark.parametrize("damage", [b"", b"no database", None], ids=["empty", "garbage", "torn"])
def test_a_damaged_manifest_is_set_aside_and_rebuilt(workspace, notes, fake, damage):
    write_first(notes)
    workspace.index()
    fake.embedded.clear()
    path = workspace.layout.manifest
    path.write_bytes(path.read_bytes()[:9000] if damage is None else damage)

    report = workspace.index()

    assert (report.changed, report.files.unchanged, fake.embedded) == (False, FILES, [])
    assert path.with_name("manifest.duckdb.damaged").exists()


def test_a_lost_head_is_published_again(workspace, notes, fake):
    write_first(notes)
    workspace.index()
    fake.embedded.clear()
    workspace.layout.head.unlink()
    with pytest.raises(NotIndexedError):
        workspace.query("anything")

    report = workspace.index()

    assert report.chunks.embedded == 0
    assert fake.embedded == []
    assert workspace.query("f1word1x1", mode="text")


def test_a_lost_table_is_built_again(workspace, notes):
    write_first(notes)
    first = workspace.index()
    shutil.rmtree(workspace.layout.vectors)

    report = workspace.index()

    assert report.chunks.embedded == first.chunks.embedded
    assert workspace.query("f1word1x1", mode="text")
    # Its files have the names of those that are gone, and digests of their own.
    assert doctor(workspace, deep=True).verdict == "ok"


def test_a_table_that_was_put_back_over_another_one_is_taken_as_it_is(workspace, notes, tmp_path):
    write_first(notes)
    workspace.index()
    layout, copy = workspace.layout, tmp_path / "copy"
    shutil.copytree(layout.vectors, copy / "vectors")
    shutil.copy(layout.head, copy / "head")
    shutil.rmtree(layout.vectors)
    workspace.index()
    shutil.rmtree(layout.vectors)
    shutil.copytree(copy / "vectors", layout.vectors)
    shutil.copy(copy / "head", layout.head)

    report = workspace.index()

    assert report.chunks.embedded == 0
    assert doctor(workspace, deep=True).verdict == "ok"


def test_partial_files_of_a_killed_write_are_swept(workspace, notes, run_cli):
    write_first(notes)
    run_cli("index", "-q", cwd=notes, env={"STOP_AT": "added:1"})
    name = next(workspace.layout.vectors.glob("*.lance"))
    partial = name / "data" / ".tmpAbCdEf"
    partial.write_bytes(b"x" * 1000)

    workspace.index()

    assert not partial.exists()


def test_a_second_writer_is_refused_and_names_the_first(workspace, notes):
    write_first(notes)
    workspace.index()
    with writer_lock(workspace.layout), pytest.raises(LockedError, match="Another localembed"):
        localembed.Workspace(workspace.folder).index()
    assert not workspace.index().changed


def test_a_query_before_the_first_batch_says_so(workspace, notes, run_cli):
    write_first(notes)
    run_cli("index", "-q", cwd=notes, env={"STOP_AT": "claimed:1"})

    with pytest.raises(NotIndexedError, match="the first run did not finish"):
        workspace.query("anything")


def test_queries_during_a_first_build_see_what_is_stored(workspace, notes):
    workspace.limits = Limits(batch_chunks=10, large_batch_chunks=10)
    write_first(notes)
    counts = []

    def watch(event: RunEvent) -> None:
        if event.step is Step.PUBLISHED:
            counts.append((workspace.status().complete, workspace.status().chunks))

    workspace.index(on_event=watch)

    assert len(counts) > 3
    assert counts == sorted(counts)
    assert [complete for complete, _ in counts] == [False] * (len(counts) - 1) + [True]


def test_a_table_that_was_cut_off_before_its_first_version_is_made(workspace, notes, tmp_path):
    write_first(notes)
    workspace.index()
    folder = next(workspace.layout.vectors.glob("*.lance"))
    shutil.rmtree(folder)
    (folder / "_versions").mkdir(parents=True)

    workspace.index()

    assert_equals_clean_build(workspace, notes, tmp_path)


def test_a_build_that_was_cut_off_before_its_text_index_gets_one(workspace, notes, monkeypatch):

    write_first(notes)

    def killed(_table):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Maintenance, "ensure_text_index", killed)
        with pytest.raises(KeyboardInterrupt):
            workspace.index()
    workspace.index()

    assert workspace.query("f1word1x1", mode="text")
