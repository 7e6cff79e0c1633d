"""Damage of any kind is set aside and rebuilt, whenever it is met."""

from __future__ import annotations

import shutil

import duckdb
import pytest

from localembed.checkup import doctor
from localembed.errors import StorageError
from localembed.store.lance.disk_names import manifest_path
from localembed.store.manifest import Manifest
from tests.conftest import all_rows, current_table
from tests.damage import grow
from tests.damaged_places import COMMANDS, DOCUMENTED, WAYS, call
from tests.sweeps import sampled

FEW = (("index",), ("doctor", "--repair"), ("query", "begins here", "--no-resident"), ("doctor",))


@pytest.fixture
def grown(workspace, notes):
    """A workspace of several runs, and its rows."""
    grow(workspace, notes)
    return workspace, all_rows(workspace)


def whole(workspace, rows, commands=COMMANDS) -> None:
    """Run commands on a workspace, and assert that it is whole afterwards."""
    done = None
    for command in commands:
        done = call(workspace.folder, command)
        assert done.code in DOCUMENTED, done
        assert "Traceback" not in done.err, done
        if "doctor" in command:
            assert "Free some space" not in done.out + done.err, done
    assert done is not None
    assert done.code == 0, done
    assert all_rows(workspace) == rows


@pytest.mark.parametrize(
    ("place", "way"),
    sampled(
        [("head.json", "folder"), ("run.json", "dangling"), ("manifest.duckdb", "dangling"),
         ("manifest.duckdb", "folder"), ("writer.lock", "folder"), ("runs", "random"),
         ("vectors", "loop"), ("damaged", "empty")], 2,
    ),
)  # fmt: skip
def test_what_is_of_the_wrong_kind_is_made_again(grown, place, way):
    """The slow tests put everything in every place."""
    workspace, rows = grown
    WAYS[way](workspace.folder / place)

    whole(workspace, rows)


@pytest.mark.parametrize(
    ("part", "way"),
    sampled([("data", "dangling"), ("_deletions", "loop"), ("a version", "folder")], 3),
)
def test_what_is_of_the_wrong_kind_in_a_table_is_made_again(grown, part, way):
    workspace, rows = grown
    name, entry = current_table(workspace)
    table = workspace.layout.table(name)
    WAYS[way](manifest_path(table, entry.lance_version) if part == "a version" else table / part)

    whole(workspace, rows)


SCHEMAS = {
    "a view of that name": "DROP TABLE files; CREATE VIEW files AS SELECT 1 AS table_name",
    "a column less": "ALTER TABLE files DROP COLUMN reason",
    "a column more": "ALTER TABLE files ADD COLUMN more INTEGER",
    "another type": "ALTER TABLE files ALTER COLUMN run TYPE VARCHAR",
    "no constraints": (
        "CREATE TABLE f AS FROM files; DROP TABLE files; ALTER TABLE f RENAME TO files"
    ),
    "a constraint more": "ALTER TABLE lance_files ADD COLUMN x INTEGER DEFAULT 1",
    "a table less": "DROP TABLE tables",
    "another table": "CREATE TABLE other (x INTEGER)",
    "another schema number": "UPDATE meta SET value = '99'",
    "no schema number": "DELETE FROM meta",
    "no records": "DELETE FROM files",
    "a record less": "DELETE FROM files WHERE path = '0.md'::BLOB",
    "counts that are wrong": "UPDATE files SET n_chunks = 7",
    "a mark of another table": "UPDATE tables SET uuid = 'x'",
    "a mark of another version": "UPDATE tables SET lance_version = 99",
    "no marks": "DELETE FROM tables",
    "no durable files": "DELETE FROM lance_files",
}


@pytest.mark.parametrize("name", sampled(SCHEMAS, 4))
def test_a_manifest_that_is_wrong_inside_is_rebuilt(grown, fake, name):
    workspace, rows = grown
    with duckdb.connect(str(workspace.layout.manifest)) as con:
        con.execute(SCHEMAS[name])
    fake.embedded.clear()

    assert call(workspace.folder, ("index",)).code == 0
    assert fake.embedded == []
    whole(workspace, rows, FEW)


def test_a_manifest_that_is_damaged_in_a_run_is_set_aside(grown):
    workspace, _ = grown
    manifest = Manifest(workspace.layout)
    with duckdb.connect(str(workspace.layout.manifest)) as con:
        con.execute("DROP TABLE files; CREATE VIEW files AS SELECT 1 AS x")

    with pytest.raises(StorageError, match="was damaged and has been set aside"):
        manifest.commit("chunks_x", deletes=[b"x" * 16])

    assert not workspace.layout.manifest.exists()
    assert workspace.index().exit_code == 0


def test_doctor_says_what_it_set_aside(grown):
    workspace, _ = grown
    shutil.rmtree(workspace.layout.runs)
    workspace.layout.runs.write_text("no folder")

    found = doctor(workspace)
    assert "runs" in next(f for f in found.findings if f.check == "places").paths[0]
    assert any("Set runs aside" in line for line in doctor(workspace, repair=True).fixed)
    assert doctor(workspace).verdict != "wrong"
