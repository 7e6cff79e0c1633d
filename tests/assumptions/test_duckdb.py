"""The messages of DuckDB that `localembed/store/manifest.py` tells apart."""

from __future__ import annotations

import os
import subprocess
import sys

import duckdb
import pytest

from localembed.errors import LockedError, StorageError
from localembed.store import manifest, manifest_schema
from localembed.store.layout import Layout
from localembed.store.manifest import Manifest, _DamagedError
from tests.slow.faults import needs_strace

WRITE = """
import duckdb, sys
try:
    with duckdb.connect(sys.argv[1]) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS t (a BLOB)")
        connection.execute("INSERT INTO t SELECT repeat('x', 1000)::BLOB FROM range(5000)")
        connection.execute("CHECKPOINT")
except duckdb.Error as error:
    print(error)
"""


def explained(path, text) -> Exception:
    return Manifest(Layout(path.parent))._explain(duckdb.Error(text))


def test_a_database_that_another_process_has_open_says_so(tmp_path):
    path = tmp_path / "manifest.duckdb"
    with duckdb.connect(path):
        done = subprocess.run(
            [sys.executable, "-c", WRITE, path], capture_output=True, text=True, check=True
        )
    assert manifest._LOCKED in done.stdout
    assert type(explained(path, done.stdout)) is LockedError


@pytest.mark.parametrize(
    ("call", "errno"),
    [("openat", "EACCES"), ("openat", "EROFS"), ("write", "ENOSPC"), ("pwrite64", "ENOSPC")],
)
def test_what_the_disk_refuses_is_in_the_message(tmp_path, call, errno):
    needs_strace()
    path = tmp_path / "manifest.duckdb"
    duckdb.connect(path).close()
    only = ("-P", path, "-P", f"{path}.wal", "-e", f"trace={call}")
    strace = ("strace", "-f", "-qq", "-o", os.devnull, *only, "-e", f"inject={call}:error={errno}")
    done = subprocess.run(
        [*strace, sys.executable, "-c", WRITE, path], capture_output=True, text=True, check=True
    )
    assert manifest._UNWRITABLE.search(done.stdout), done.stdout
    assert type(explained(path, done.stdout)) is StorageError


def test_a_database_that_is_attached_read_only_says_so(tmp_path):
    path = tmp_path / "manifest.duckdb"
    duckdb.connect(path).close()
    with (
        duckdb.connect(path, read_only=True) as connection,
        pytest.raises(duckdb.Error, match=manifest._UNWRITABLE),
    ):
        connection.execute("CREATE TABLE t (a INT)")


def test_what_is_no_database_says_none_of_these(tmp_path):
    path = tmp_path / "manifest.duckdb"
    path.write_bytes(b"no database" * 999)
    with pytest.raises(duckdb.Error) as caught:
        duckdb.connect(path)
    assert type(explained(path, str(caught.value))) is _DamagedError


def test_every_setting_that_keeps_duckdb_offline_exists():
    with duckdb.connect(":memory:", config=manifest_schema.DUCKDB_SETTINGS) as connection:
        for name in manifest_schema.DUCKDB_SETTINGS:
            assert connection.execute(f"SELECT current_setting('{name}')").fetchone()
