"""The manifest gives back what it was told, all of it or nothing, and survives its own damage."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localembed.errors import LockedError, StorageError
from localembed.store.layout import Layout
from localembed.store.manifest import Manifest, TableMark
from localembed.types.documents import FileRecord, FileStat

INT64 = st.integers(-(2**63), 2**63 - 1)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
records = st.builds(
    FileRecord,
    doc_id=st.binary(min_size=16, max_size=16),
    root_id=text,
    path=st.binary(max_size=60),
    stat=st.builds(
        FileStat, size=INT64, mtime_ns=INT64, ctime_ns=INT64, inode=st.integers(0, 2**64 - 1)
    ),
    observed_ns=INT64,
    content_hash=st.binary(max_size=16),
    n_chunks=st.integers(0, 2**31 - 1),
    run=INT64,
    state=st.sampled_from(["indexed", "skipped", "failed"]),
    reason=text,
)
HOLD = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.readline()
connection.close()
print("closed", flush=True)
"""


def record(number: int, path: bytes = b"a.md", run: int = 1) -> FileRecord:
    stat = FileStat(1, 2, 3, 4)
    doc_id = number.to_bytes(16, "big")
    return FileRecord(doc_id, "root", path, stat, 5, b"h" * 16, 6, run, "indexed")


def by_id(*entries: FileRecord) -> dict[bytes, FileRecord]:
    return {entry.doc_id: entry for entry in entries}


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path)


@pytest.fixture
def manifest(layout):
    return Manifest(layout)


def test_a_manifest_that_is_not_there_is_empty_and_stays_away(manifest, layout):
    assert manifest.load("t") == ({}, None)
    assert not layout.manifest.exists()


@settings(max_examples=40, deadline=None)
@given(entries=st.lists(records, unique_by=lambda entry: entry.doc_id, max_size=8))
def test_records_come_back_as_they_were(entries):
    with tempfile.TemporaryDirectory() as folder:
        manifest = Manifest(Layout(Path(folder)))
        manifest.commit("t", upserts=entries)

        assert manifest.load("t") == (by_id(*entries), None)


def test_a_record_is_replaced_when_it_comes_again(manifest):
    manifest.commit("t", upserts=[record(1), record(2)])
    manifest.commit("t", upserts=[record(1, b"b.md", run=2)])

    assert manifest.load("t")[0] == by_id(record(1, b"b.md", run=2), record(2))


def test_the_mark_comes_back_and_moves(manifest):
    manifest.commit("t", mark=TableMark("u" * 32, 3))
    assert manifest.load("t") == ({}, TableMark("u" * 32, 3))

    manifest.commit("t", mark=TableMark("v" * 32, 2**62))
    assert manifest.load("t") == ({}, TableMark("v" * 32, 2**62))


def test_everything_of_a_batch_is_one_commit(manifest):
    manifest.commit("t", upserts=[record(1), record(2), record(3)], mark=TableMark("u", 1))
    manifest.commit(
        "t",
        upserts=[record(2, run=2), record(4)],
        deletes=[record(1).doc_id, record(9).doc_id],
        mark=TableMark("u", 2),
    )

    assert manifest.load("t") == (
        by_id(record(2, run=2), record(3), record(4)),
        TableMark("u", 2),
    )


def test_a_document_that_is_dropped_and_written_in_one_commit_is_there(manifest):
    manifest.commit("t", upserts=[record(1)])
    manifest.commit("t", upserts=[record(1, b"b.md")], deletes=[record(1).doc_id])

    assert manifest.load("t")[0] == by_id(record(1, b"b.md"))


def test_nothing_of_a_commit_is_kept_when_a_part_of_it_fails(manifest):
    manifest.commit("t", upserts=[record(1), record(2)], mark=TableMark("u", 1))
    before = manifest.load("t")

    with pytest.raises(StorageError):
        manifest.commit(
            "t",
            upserts=[record(3)],
            deletes=[record(1).doc_id],
            mark=TableMark("u", 2**70),  # more than the column holds
        )

    assert manifest.load("t") == before


def test_tables_do_not_see_each_other(manifest):
    manifest.commit("one", upserts=[record(1)], mark=TableMark("u", 1))
    manifest.commit("two", upserts=[record(1, b"b.md")], mark=TableMark("v", 2))
    manifest.commit("one", deletes=[record(1).doc_id])

    assert manifest.load("one") == ({}, TableMark("u", 1))
    assert manifest.load("two") == (by_id(record(1, b"b.md")), TableMark("v", 2))


def test_many_records_are_written_and_dropped_at_once(manifest):
    entries = [record(n, b"%d" % n) for n in range(5000)]
    manifest.commit("t", upserts=entries)
    manifest.commit("t", deletes=[entry.doc_id for entry in entries[:4000]])

    assert manifest.load("t")[0] == by_id(*entries[4000:])


# Damage


def damaged(layout) -> list[str]:
    return sorted(path.name for path in layout.folder.iterdir() if "damaged" in path.name)


@pytest.mark.parametrize(
    "garbage",
    [b"\0" * 20_000, b"no database\n" * 2000, b"x"],
    ids=["zeros", "text", "one byte"],
)
def test_a_file_that_is_no_manifest_is_set_aside(manifest, layout, garbage):
    layout.manifest.write_bytes(garbage)

    assert manifest.load("t") == ({}, None)
    assert damaged(layout) == ["manifest.duckdb.damaged"]
    assert (layout.folder / "manifest.duckdb.damaged").read_bytes() == garbage


def test_a_file_of_no_bytes_is_empty_and_can_be_written(manifest, layout):
    layout.manifest.touch()

    assert manifest.load("t") == ({}, None)
    manifest.commit("t", upserts=[record(1)])
    assert manifest.load("t")[0] == by_id(record(1))


@pytest.mark.parametrize("keep", [4096, 12_288, 12_289, 100_000])
def test_a_manifest_that_was_cut_short_is_set_aside(manifest, layout, keep):
    manifest.commit("t", upserts=[record(n, b"%d" % n * 50) for n in range(5000)])
    data = layout.manifest.read_bytes()
    assert len(data) > keep
    layout.manifest.write_bytes(data[:keep])

    assert manifest.load("t") == ({}, None)
    assert "manifest.duckdb.damaged" in damaged(layout)


def test_a_manifest_with_a_damaged_middle_is_set_aside(manifest, layout):
    manifest.commit("t", upserts=[record(n, b"%d" % n * 50) for n in range(5000)])
    data = bytearray(layout.manifest.read_bytes())
    data[12_288:] = bytes(byte ^ 0x55 for byte in data[12_288:])
    layout.manifest.write_bytes(data)

    assert manifest.load("t") == ({}, None)
    assert damaged(layout) == ["manifest.duckdb.damaged"]


def test_a_damaged_manifest_is_replaced_by_a_new_one(manifest, layout):
    layout.manifest.write_bytes(b"no database\n" * 2000)
    manifest.load("t")
    manifest.commit("t", upserts=[record(1)], mark=TableMark("u", 1))

    assert manifest.load("t") == (by_id(record(1)), TableMark("u", 1))


def test_a_damaged_log_is_survived(manifest, layout):
    manifest.commit("t", upserts=[record(1)])
    (layout.folder / "manifest.duckdb.wal").write_bytes(b"\xff" * 5000)
    manifest.load("t")
    manifest.commit("t", upserts=[record(2)])

    assert record(2).doc_id in manifest.load("t")[0]


def test_writing_to_a_damaged_manifest_is_an_error_of_ours(manifest, layout):
    layout.manifest.write_bytes(b"no database\n" * 2000)

    with pytest.raises(StorageError):
        manifest.commit("t", upserts=[record(1)])


@pytest.mark.parametrize(
    ("number", "aside"), [("0", []), ("1", []), ("999", ["manifest.duckdb.damaged"])]
)
def test_a_manifest_of_another_schema_makes_room_for_a_new_one(manifest, layout, number, aside):
    """An older one is a cache of no further use; a newer one is somebody's."""
    manifest.commit("t", upserts=[record(1)])
    with duckdb.connect(str(layout.manifest)) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'schema'", [number])

    assert manifest.load("t") == ({}, None)
    assert damaged(layout) == aside
    manifest.commit("t", upserts=[record(2)])
    assert list(manifest.load("t")[0]) == [record(2).doc_id]


def test_a_manifest_whose_columns_differ_is_set_aside(manifest, layout):
    with duckdb.connect(str(layout.manifest)) as connection:
        connection.execute("CREATE TABLE files (table_name VARCHAR, doc_id BLOB)")

    assert manifest.load("t") == ({}, None)
    manifest.commit("t", upserts=[record(1)])
    assert manifest.load("t")[0] == by_id(record(1))


# Other processes


def test_a_manifest_that_another_process_holds_is_waited_for(manifest, layout, monkeypatch):
    manifest.commit("t", upserts=[record(1)])
    command = [sys.executable, "-c", HOLD, str(layout.manifest)]
    waited, now = [], [0.0]

    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"

        def wait(seconds):
            waited.append(seconds)
            now[0] += seconds
            if len(waited) == 3:
                holder.communicate(b"\n", timeout=60)

        clock = SimpleNamespace(sleep=wait, monotonic=lambda: now[0])
        monkeypatch.setattr("localembed.store.manifest.time", clock)
        assert manifest.load("t")[0] == by_id(record(1))
        assert len(waited) == 3
        manifest.commit("t", upserts=[record(2)])
    assert manifest.load("t")[0] == by_id(record(1), record(2))
    assert damaged(layout) == []


def test_a_manifest_that_stays_held_is_an_error_after_a_while(manifest, layout, monkeypatch):
    manifest.commit("t", upserts=[record(1)])
    command = [sys.executable, "-c", HOLD, str(layout.manifest)]
    now = [0.0]

    def wait(_seconds):
        now[0] += 1

    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        clock = SimpleNamespace(sleep=wait, monotonic=lambda: now[0])
        monkeypatch.setattr("localembed.store.manifest.time", clock)

        with pytest.raises(LockedError, match="Another process has"):
            manifest.load("t")

        assert 5 < now[0] <= 6
        holder.communicate(b"\n", timeout=60)
    assert manifest.load("t")[0] == by_id(record(1))


def test_the_manifest_is_closed_after_every_question(manifest, layout):
    manifest.commit("t", upserts=[record(1)])
    manifest.load("t")
    command = [sys.executable, "-c", HOLD, str(layout.manifest)]

    done = subprocess.run(command, input=b"\n", capture_output=True, check=True)
    assert done.stdout == b"held\nclosed\n"
