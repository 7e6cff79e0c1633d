"""Vectors between a remote model and the table: none is lost, and none is kept for nothing."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading

import numpy as np
import pytest

from localembed.errors import StorageError
from localembed.store.layout import Layout
from localembed.store.pending_vectors import PendingVectors
from tests.conftest import PROJECT

DIM = 8
SPACE = "0123456789abcdef0123456789abcdef"
KEYS = [bytes([number]) * 16 for number in range(40)]
VECTORS = np.random.default_rng(7).standard_normal((40, DIM)).astype(np.float32)


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path)


def answers(layout) -> PendingVectors:
    return PendingVectors(layout, SPACE, DIM)


def saved(layout, count: int = 40):
    """Save answers as a run that is killed does; return the database."""
    answers(layout).save(KEYS[:count], VECTORS[:count])
    (path,) = layout.pending.iterdir()
    return path


def assert_found(layout, keys) -> None:
    found = answers(layout).vectors(KEYS)
    assert set(found) == set(keys)
    for key, vector in found.items():
        assert vector.dtype == np.float32
        assert vector.tobytes() == VECTORS[KEYS.index(key)].tobytes()


def test_saved_vectors_are_found_by_the_next_run_bit_for_bit(layout):
    strange = np.array([[0.0, -0.0, np.inf, np.nan, 1e-45, 3.4e38, 1 / 3, -1]], np.float32)
    answers(layout).save([b"k" * 16], strange)
    (vector,) = answers(layout).vectors([b"k" * 16, b"other key, same!"]).values()
    assert vector.tobytes() == strange.tobytes()
    vector += 1  # it is the caller's


def test_nothing_is_opened_where_nothing_is_pending(layout):
    code = (
        "import sys; from pathlib import Path; from localembed.store.layout import Layout\n"
        "from localembed.store.pending_vectors import PendingVectors\n"
        "p = PendingVectors(Layout(Path(sys.argv[1])), 'space', 8)\n"
        "assert not p.vectors([b'k']); p.written([b'k']); p.clear()\n"
        "assert 'sqlite3' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, layout.folder], check=True, cwd=PROJECT)
    assert not layout.pending.exists()


def test_spaces_and_dimensions_do_not_mix(layout):
    saved(layout)
    assert PendingVectors(layout, "another space, with a name", DIM).vectors(KEYS) == {}
    for dim in (DIM // 2, 2 * DIM):
        assert PendingVectors(layout, SPACE, dim).vectors(KEYS) == {}


def test_only_the_owner_may_read_them(layout):
    before = os.umask(0)
    try:
        path = saved(layout)
    finally:
        os.umask(before)
    assert path.name == f"{SPACE[:16]}.sqlite"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_written_vectors_go_and_the_file_with_the_last(layout):
    path = saved(layout)
    pending = answers(layout)
    pending.written(KEYS[:39])
    assert_found(layout, KEYS[39:])
    pending.written(iter([KEYS[39], b"not pending here"]))
    assert not path.exists()
    pending.save(KEYS[:2], VECTORS[:2])
    assert_found(layout, KEYS[:2])
    pending.clear()
    assert list(layout.pending.iterdir()) == []


def test_an_answer_to_the_same_text_replaces_the_first(layout):
    pending = answers(layout)
    pending.save(KEYS, VECTORS[::-1])
    pending.save(KEYS, VECTORS)
    assert_found(layout, KEYS)


def test_threads_and_runs_that_overlap_lose_nothing(layout):
    both = answers(layout), answers(layout)
    threads = [
        threading.Thread(target=both[n % 2].save, args=(KEYS[n : n + 1], VECTORS[n : n + 1]))
        for n in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_found(layout, KEYS)


def overwrite(path) -> None:
    path.write_bytes(b"no database at all" * 999)


def cut(path) -> None:
    os.truncate(path, path.stat().st_size // 2 - 100)


def other_table(path) -> None:
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE answers (something TEXT)")
    database.close()


def other_type(path) -> None:
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE answers (key INTEGER PRIMARY KEY, record BLOB NOT NULL)")
    database.close()


def ignore_inserts(path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM answers")
        database.execute(
            "CREATE TRIGGER t BEFORE INSERT ON answers BEGIN SELECT RAISE(IGNORE); END"
        )
    database.close()


def break_the_schemas_text(path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b"CREATE TABLE") + 20] = 0xFF
    path.write_bytes(data)


def break_the_first_page(path) -> None:
    data = bytearray(path.read_bytes())
    data[100:4000] = bytes(3900)
    path.write_bytes(data)


DAMAGES = [
    overwrite, cut, other_table, other_type, ignore_inserts, break_the_schemas_text,
    break_the_first_page,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("first", ["vectors", "save", "written"])
def test_a_damaged_database_is_set_aside_and_counts_as_empty(layout, damage, first):
    path = saved(layout)
    damage(path)
    pending = answers(layout)
    if first == "vectors":
        assert pending.vectors(KEYS) == {}
    elif first == "written":
        pending.written(KEYS[:1])
    pending.save(KEYS[:20], VECTORS[:20])
    assert_found(layout, KEYS[:20])
    (aside,) = layout.damaged.iterdir()
    assert aside.name == f"1-{path.name}"
    pending.clear()
    assert list(layout.pending.iterdir()) == []


def test_a_vector_with_a_flipped_bit_is_not_used(layout):
    path = saved(layout)
    data = bytearray(path.read_bytes())
    data[data.index(VECTORS[5].tobytes()) + 9] ^= 4
    path.write_bytes(data)
    assert_found(layout, [key for key in KEYS if key != KEYS[5]])


@pytest.mark.parametrize("value", ["text", "\xff", 5, 0.5])
def test_a_record_of_another_type_is_not_used(layout, value):
    with sqlite3.connect(saved(layout)) as database:
        database.execute("UPDATE answers SET record = ? WHERE key = ?", (value, KEYS[5]))
    database.close()
    assert_found(layout, [key for key in KEYS if key != KEYS[5]])


def test_any_cut_or_flip_ends_no_run_and_gives_no_wrong_vector(layout):
    path = saved(layout)
    whole = path.read_bytes()
    rng = np.random.default_rng(3)
    schema = range(whole.index(b"tableanswers"), 4096)
    for number in range(90):
        data = bytearray(whole)
        if number % 3 == 1:
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
        elif number % 3:
            data[int(rng.choice(schema))] ^= 1 << int(rng.integers(8))
        else:
            del data[int(rng.integers(len(data))) :]
        path.write_bytes(data)
        pending = answers(layout)
        for key, vector in pending.vectors(KEYS).items():
            assert vector.tobytes() == VECTORS[KEYS.index(key)].tobytes()
        pending.save(KEYS, VECTORS)
        pending.written(KEYS)


def test_a_full_disk_is_a_storage_error_with_the_path(layout):
    path = saved(layout, 2)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, limits[1]))
    try:
        with pytest.raises(StorageError, match=f"Cannot write {path}.*Free some space"):
            answers(layout).save(KEYS * 20, np.tile(VECTORS, (20, 1)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert_found(layout, KEYS[:2])


def test_a_folder_that_cannot_be_made_is_a_storage_error(layout):
    layout.pending.write_text("in the way")
    with pytest.raises(StorageError, match=r"Cannot write .*Something else is in its place"):
        answers(layout).save(KEYS, VECTORS)


def kill_in_a_transaction(path) -> None:
    """Leave rows in the file, and the journal that takes them out again."""
    code = (
        "import os, signal, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA cache_size = 1')\n"
        "c.execute('DELETE FROM answers')\n"
        "c.executemany('INSERT INTO answers VALUES (?, ?)', "
        "[(os.urandom(16), bytes(999)) for _ in range(999)])\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, path], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(path.parent.iterdir())) == 2


def test_a_kill_in_the_middle_of_a_transaction_costs_only_that_one(layout):
    kill_in_a_transaction(saved(layout, 20))
    assert_found(layout, KEYS[:20])


@pytest.mark.parametrize("how", ["cleared", "set aside"])
def test_the_journal_of_an_old_database_does_not_reach_a_new_one(layout, how):
    path = saved(layout, 20)
    kill_in_a_transaction(path)
    if how == "cleared":
        answers(layout).clear()
        assert list(layout.pending.iterdir()) == []
    else:  # as after a kill between two steps
        path.unlink()
    answers(layout).save(KEYS[20:], VECTORS[20:])
    assert_found(layout, KEYS[20:])
    assert list(layout.pending.iterdir()) == [path]


def test_no_journal_makes_sqlite_delete_a_file_elsewhere(layout, tmp_path):
    """A journal of several databases names a file, which SQLite reads and then deletes."""
    path = saved(layout)
    elsewhere = tmp_path / "elsewhere.txt"
    elsewhere.write_text("not ours")
    page = path.read_bytes()[:4096]
    name, magic = os.fsencode(elsewhere), bytes.fromhex("d9d505f920a163d7")
    pages = path.stat().st_size // 4096
    header = magic + b"".join(n.to_bytes(4, "big") for n in (1, 0, pages, 512, 4096))
    sum_of_page = sum(page[at] for at in range(4096 - 200, 0, -200))
    record = (1).to_bytes(4, "big") + page + sum_of_page.to_bytes(4, "big")
    end = (0x40000000 // 4096 + 1).to_bytes(4, "big") + name
    end += len(name).to_bytes(4, "big") + sum(name).to_bytes(4, "big") + magic
    path.with_name(f"{path.name}-journal").write_bytes(header.ljust(512, b"\0") + record + end)

    assert_found(layout, KEYS)

    assert elsewhere.read_text() == "not ours"
