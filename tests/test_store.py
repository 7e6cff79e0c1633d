"""Rows, versions and durability of what lies on disk."""

from __future__ import annotations

import errno
import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import localembed
from localembed.core.files import read_json, write_atomically, write_json
from localembed.core.hashing import digest
from localembed.errors import StorageError, TooNewError, UsageError
from localembed.pipeline.written_hashes import WrittenHashes
from localembed.store import heartbeat
from localembed.store.fsync import FsyncTracker, StoredFile, Synced
from localembed.store.head import Head, publish_head, read_head
from localembed.store.lance import maintenance, maintenance_child
from localembed.store.lance.connection import connect
from localembed.store.lance.disk_names import newest_version, versions_on_disk
from localembed.store.lance.maintenance import Maintenance
from localembed.store.lance.maintenance_child import MaintenanceChild
from localembed.store.layout import Layout
from localembed.store.runs import claim_run, newest_claimed
from localembed.store.versions import find_version
from localembed.types.events import Step
from localembed.types.limits import Limits
from localembed.types.tables import TableHead
from tests.conftest import current_table, paragraphs


@pytest.fixture
def layout(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    return Layout(folder)


@pytest.fixture
def handle(workspace, notes):
    (notes / "a.md").write_text("# Top\n\n" + paragraphs(4))
    workspace.index()
    return connect(workspace.layout.vectors).open_table(workspace.status().table)


def test_a_table_explains_itself(workspace, handle):
    facts = {k.decode(): v.decode() for k, v in handle.schema.metadata.items()}
    assert facts["localembed.model"] == "fake"
    assert facts["localembed.dim"] == "32"
    assert facts["localembed.vector_type"] == "float16"
    assert facts["localembed.uuid"] == read_head(workspace.layout).tables[handle.name].uuid


def test_a_row_holds_its_document_and_its_place(handle, notes):
    rows = sorted(handle.search().to_list(), key=lambda row: row["ord"])
    text = (notes / "a.md").read_text()
    assert [row["ord"] for row in rows] == list(range(len(rows)))
    for row in rows:
        assert text[row["start"] : row["end"]] == row["text"]
        assert row["n_chunks"] == len(rows)
        assert (row["path"], row["path_bytes"], row["heading"]) == ("a.md", b"a.md", "Top")
        for name in ("chunk_id", "doc_id", "chunk_hash", "content_hash"):
            assert len(row[name]) == 16
        assert np.linalg.norm(np.array(row["vector"], np.float32)) == pytest.approx(1, abs=1e-2)


def test_vectors_are_float32_when_asked(notes, fake, tmp_path):
    (notes / "a.md").write_text("words")
    workspace = localembed.Workspace(tmp_path / "w", {"vector_type": "float32"})
    workspace.index([notes])
    handle = connect(workspace.layout.vectors).open_table(workspace.status().table)
    assert str(handle.schema.field("vector").type.value_type) == "float"


def test_the_newest_version_is_known_without_opening(workspace, handle):
    assert newest_version(workspace.layout.table(handle.name)) == handle.version
    assert newest_version(workspace.folder / "nowhere") == 0


def test_only_new_files_are_synced(tmp_path, monkeypatch):
    table = tmp_path / "t.lance"
    (table / "data").mkdir(parents=True)
    (table / "data" / "one").write_text("1")
    (table / "latest_version_hint.json").write_text("{}")
    synced = []
    real = os.fsync

    def remember(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").resolve())
        real(descriptor)

    monkeypatch.setattr(os, "fsync", remember)
    folder = FsyncTracker(table, known={"data/one"})
    (table / "data" / "two").write_text("2")

    found = folder.sync()
    assert found == Synced((StoredFile("data/two", 1, digest(b"2")),), ())
    files = {name.relative_to(table).as_posix() for name in synced if name.is_file()}
    assert files == {"data/two", "latest_version_hint.json"}
    folders = {name for name in synced if name.is_dir()}
    assert folders == {table / "data", table, tmp_path}
    (table / "data" / "one").unlink()
    assert folder.sync() == Synced((), ("data/one",))
    assert [file.name for file in FsyncTracker(table, known=()).sync().new] == ["data/two"]


def test_a_failed_fsync_ends_the_run_and_commits_nothing(workspace, notes, monkeypatch):
    (notes / "a.md").write_text("words")

    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    (notes / "b.md").write_text("words of another file")
    workspace.index()
    before = read_head(workspace.layout)
    (notes / "c.md").write_text("a third file")
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(StorageError, match="Input/output error"):
        workspace.index()
    monkeypatch.undo()
    assert read_head(workspace.layout) == before


def test_a_replaced_file_is_old_or_new(tmp_path, monkeypatch):
    path = tmp_path / "head.json"
    write_atomically(path, b"old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="Free some space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


A, B = "chunks_00000000000a", "chunks_00000000000b"


def entry(**changes):
    facts = {
        "uuid": "u", "lance_version": 3, "run": 1, "complete": True, "model": "m", "space_id": "s",
        "dim": 4, "max_tokens": 254, "overlap_tokens": 32, "vector_type": "float16",
    }  # fmt: skip
    return TableHead(**{**facts, **changes})


def test_a_head_comes_back_as_it_was_published(layout):
    head = Head(A, {A: entry(), B: entry(model="n", complete=False)})
    publish_head(layout, head)
    assert read_head(layout) == head
    assert head.table() == (A, head.tables[A])
    assert head.table("n") == (B, head.tables[B])
    assert head.table("unknown") is None
    assert read_head(Layout(layout.folder / "none")) == Head()


def test_unknown_fields_of_a_head_are_passed_over(layout):
    publish_head(layout, Head(A, {A: entry()}))
    raw = read_json(layout.head)
    raw["tables"][A]["later"] = 1
    write_json(layout.head, raw)
    assert read_head(layout).tables[A] == entry()


def test_a_newer_head_is_refused(layout):
    publish_head(layout, Head(A, {A: entry()}))
    write_json(layout.head, {**read_json(layout.head), "format": 99})
    with pytest.raises(TooNewError, match="pip install --upgrade"):
        read_head(layout)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format":1,"tables":{"a":1}}'])
def test_a_damaged_head_is_a_sentence(layout, text):
    layout.head.write_text(text)
    with pytest.raises(StorageError, match="Run: localembed doctor --repair"):
        read_head(layout)


def test_a_head_with_another_number_in_it_is_damaged(layout):
    publish_head(layout, Head(A, {A: entry()}))
    text = layout.head.read_text()
    layout.head.write_text(text.replace('"lance_version": 3', '"lance_version": 2'))
    with pytest.raises(StorageError, match="does not match its digest"):
        read_head(layout)


def test_a_head_without_a_digest_is_not_believed(layout):
    publish_head(layout, Head(A, {A: entry()}))
    facts = {k: v for k, v in json.loads(layout.head.read_text()).items() if k != "_xxh3"}
    layout.head.write_text(json.dumps(facts))
    with pytest.raises(StorageError, match="it has no digest"):
        read_head(layout)


@pytest.mark.parametrize(
    "name",
    ["../../../x", "..", ".", "", "/tmp/x", "chunks_", "chunks_00000000000A", "chunks_0000/000000a",
     "chunks_00000000000a\n", " chunks_00000000000a", "chunks_00000000000a/../../../x"],
)  # fmt: skip
def test_a_table_of_another_name_is_never_looked_for(layout, name):
    publish_head(layout, Head(name, {name: entry()}))
    with pytest.raises(StorageError, match="Run: localembed doctor --repair"):
        read_head(layout)
    with pytest.raises(StorageError, match="is no table of localembed"):
        layout.table(name)
    with pytest.raises(StorageError, match="is no table of localembed"):
        layout.failures(name)


@pytest.mark.parametrize("name", ["²", "٣", "9" * 20, "-1", "1.0", "+1", "1 "])
def test_a_name_that_is_no_number_of_a_run_is_passed_over(layout, name):
    claim_run(layout, 1, A)
    (layout.runs / f"{name}.json").write_text("{}")
    versions = layout.table(A) / "_versions"
    versions.mkdir(parents=True)
    (versions / f"{name}.manifest").write_text("")

    assert newest_claimed(layout) == 1
    assert all(0 <= version < 2**64 for version in versions_on_disk(layout.table(A)))
    with pytest.raises(UsageError, match="There is no version"):
        find_version(layout, name * 500)


def test_run_numbers_are_claimed_once(layout):
    assert newest_claimed(layout) == 0
    claim_run(layout, 1, "t")
    claim_run(layout, 12, "t")
    (layout.runs / "notes.txt").write_text("x")
    assert newest_claimed(layout) == 12


def test_a_heartbeat_lives_as_long_as_its_process(layout):
    assert heartbeat.current(layout) is None
    heartbeat.update(layout, run=3)
    current = heartbeat.current(layout)
    assert current is not None
    assert current["run"] == 3
    heartbeat.update(layout, run=3, ended=True)
    assert heartbeat.current(layout) is None
    heartbeat.update(layout, run=3)
    raw = read_json(layout.heartbeat)
    write_json(layout.heartbeat, {**raw, "boot_id": "another"})
    assert heartbeat.current(layout) is None
    write_json(layout.heartbeat, {**raw, "pid": 2**22 + 1})
    assert heartbeat.current(layout) is None


@pytest.mark.parametrize("here", [0, 20_000], ids=["in a child", "in this process"])
def test_the_text_index_is_made_anew_when_many_rows_stand_outside(workspace, notes, here):
    workspace.limits = Limits(min_text_slack=0, in_process_rows=here)
    (notes / "a.md").write_text(paragraphs(4))
    workspace.index()
    (notes / "b.md").write_text(paragraphs(8, "late"))

    workspace.index()

    handle = connect(workspace.layout.vectors).open_table(workspace.status().table)
    name = handle.list_indices()[0].name
    assert handle.index_stats(name).num_unindexed_rows == 0
    assert read_head(workspace.layout).tables[handle.name].lance_version == handle.version
    assert workspace.query("lateword3x1", mode="text")
    assert not workspace.index().changed


def test_a_text_index_that_fails_is_a_sentence_and_loses_nothing(workspace, notes, monkeypatch):
    (notes / "a.md").write_text(paragraphs(4))
    workspace.index()
    (notes / "b.md").write_text(paragraphs(8, "late"))
    with monkeypatch.context() as broken:
        workspace.limits = Limits(min_text_slack=0, in_process_rows=0)
        broken.setattr("sys.executable", "/bin/false")
        with pytest.raises(StorageError, match=r"The maintenance of .* failed \(text\)"):
            workspace.index()

    assert workspace.index().chunks.embedded == 0
    assert workspace.query("lateword3x1", mode="text")


@pytest.fixture
def all_due(workspace, notes):
    """A table with a few rows, of which another run will put many fragments together."""
    (notes / "a.md").write_text(paragraphs(4))
    workspace.index()
    (notes / "b.md").write_text(paragraphs(8, "late"))
    workspace.limits = Limits(min_text_slack=0, max_small_fragments=0)


def children_of(monkeypatch):
    """Return the maintenance children started from now on, and what they are asked for."""
    begun, asked = [], []
    begin, do = MaintenanceChild.__init__, MaintenanceChild.do
    monkeypatch.setattr(
        MaintenanceChild,
        "__init__",
        lambda child, folder: begun.append(child) or begin(child, folder),
    )
    monkeypatch.setattr(
        MaintenanceChild, "do", lambda child, tasks: asked.append(list(tasks)) or do(child, tasks)
    )
    return begun, asked


@pytest.fixture
def small_batches(workspace, notes):
    """A workspace that has its first rows, and of which the next run will write three batches."""
    (notes / "a.md").write_text(paragraphs(4))
    workspace.index()
    for name in ("b", "c", "d"):
        (notes / f"{name}.md").write_text(paragraphs(8, f"late{name}"))
    workspace.limits = Limits(batch_chunks=1, in_process_rows=0)


def test_the_child_begins_as_soon_as_all_files_are_read(workspace, small_batches, monkeypatch):
    workspace.limits = replace(workspace.limits, min_text_slack=0)
    begun, asked = children_of(monkeypatch)
    at_each_batch = []

    def listen(event):
        if event.step is Step.ADDED:
            at_each_batch.append(len(begun))

    workspace.index(on_event=listen)

    assert at_each_batch[0] == 0
    assert len(at_each_batch) == 3
    assert (len(begun), asked) == (1, [["text"]])
    assert begun[0]._process.returncode == 0
    assert workspace.query("latedword3x1", mode="text")


def test_a_child_that_nothing_is_due_for_ends(workspace, small_batches, monkeypatch):
    workspace.limits = replace(workspace.limits, min_text_slack=0)
    monkeypatch.setattr(
        Maintenance, "run", lambda _maintenance, known: maintenance.MaintenanceResult((), known)
    )
    begun, asked = children_of(monkeypatch)

    workspace.index()

    assert (len(begun), asked) == (1, [])
    assert begun[0]._process.returncode == -signal.SIGKILL


def test_no_child_begins_where_little_was_written(workspace, small_batches, monkeypatch):
    begun, _ = children_of(monkeypatch)

    workspace.index()

    assert begun == []


def test_one_child_does_all_that_is_due_and_tells_what_it_measured(workspace, all_due, monkeypatch):
    workspace.limits = replace(workspace.limits, in_process_rows=0, exact_rows=3)
    begun, asked = children_of(monkeypatch)

    workspace.index()

    assert asked == [["compact", "text", "vector"]]
    assert len(begun) == 1
    _, entry = current_table(workspace)
    assert entry.vector_index is not None
    assert entry.vector_index.recall == 1
    handle = connect(workspace.layout.vectors).open_table(workspace.status().table)
    indices = handle.list_indices()
    assert sorted(index.columns[0] for index in indices) == ["search_text", "vector"]
    assert [handle.index_stats(index.name).num_unindexed_rows for index in indices] == [0, 0]
    assert handle.stats()["fragment_stats"]["num_fragments"] == 1
    assert not workspace.index().changed


def test_an_index_that_is_made_anew_is_not_carried_along(workspace, all_due, monkeypatch):
    """Nor is it missed by readers, should the run be killed before it is there again."""

    def killed(handle):
        assert not handle.list_indices()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(maintenance_child, "compact", killed)
        with pytest.raises(KeyboardInterrupt):
            workspace.index()

    assert workspace.query("pword1x1", mode="text")
    assert workspace.index().changed
    assert workspace.query("lateword3x1", mode="text")
    assert not workspace.index().changed


def test_seen_hashes_never_say_no_wrongly():
    seen = WrittenHashes()
    hashes = [os.urandom(16) for _ in range(1000)]
    assert seen.among(hashes) == []
    seen.add(hashes[:300])
    seen.add(hashes[300:600])
    seen.add(hashes[:10])
    assert seen.among(hashes) == hashes[:600]
    assert seen.among([]) == []
