"""Lance's file names and error texts: `localembed/store/lance/disk_names.py`."""

from __future__ import annotations

import ast
import datetime
import os
import re
import shutil
import subprocess
import sys
import warnings

import lancedb
import numpy as np
import pyarrow as pa
import pytest
from lancedb.index import FTS

from localembed.core.hashing import digest_file
from localembed.errors import StorageError
from localembed.store.fsync import files_below
from localembed.store.lance import disk_names
from localembed.store.lance.connection import VersionGoneError, first_sentence, lance_errors
from localembed.store.lance.repair import _delete_nothing
from tests.conftest import PROJECT
from tests.slow.faults import needs_strace

ROWS = 12_000
"""Two fragments of these; of more than 5,000 deleted rows Lance writes a bitmap."""
NOW, FOREVER = datetime.timedelta(0), datetime.timedelta(days=36500)


def rows(count: int = ROWS, first: int = 0) -> pa.Table:
    numbers = range(first, first + count)
    return pa.table({"id": pa.array(numbers, pa.int64()), "text": [f"word{n}" for n in numbers]})


@pytest.fixture
def table(tmp_path):
    """A table of two fragments."""
    table = lancedb.connect(tmp_path).create_table("t", rows())
    table.add(rows(first=ROWS))
    return table


@pytest.fixture
def folder(table, tmp_path):
    return tmp_path / f"t{disk_names.TABLE_SUFFIX}"


def again(folder):
    """Open a table without anything that is cached of it."""
    return lancedb.connect(folder.parent).open_table("t")


def ids(table) -> np.ndarray:
    found = table.search().with_row_id(True).select(["id"]).to_arrow()
    return np.array(found["_rowid"])


def clean(table) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table.optimize(cleanup_older_than=NOW, delete_unverified=True)


def test_each_version_is_a_file_whose_name_counts_down(table, folder):
    table.delete("id = 3")
    assert table.version == 3
    assert disk_names.versions_on_disk(folder) == {1, 2, 3}
    assert disk_names.newest_version(folder) == 3
    disk_names.manifest_path(folder, 3).unlink()
    assert again(folder).version == 2
    assert disk_names.newest_version(folder) == 2
    shutil.rmtree(folder)
    assert disk_names.newest_version(folder) == 0


def test_only_files_that_are_named_so_change_their_content(table, folder):
    """Over an add, a delete, an index, a branch, a compaction and a clean-up."""
    seen: dict[str, bytes] = {}
    changed: set[str] = set()

    def look() -> None:
        for name in files_below(folder):
            assert not disk_names.is_partial(name)
            digest = digest_file(folder / name)
            if seen.setdefault(name, digest) != digest:
                changed.add(name)
                seen[name] = digest

    steps = (
        lambda: table.add(rows(5, 2 * ROWS)),
        lambda: table.delete("id = 7"),
        lambda: table.delete("id % 2 = 0"),
        lambda: table.create_index("text", config=FTS()),
        lambda: table.branches.create("v1", None, 2),
        lambda: table.branches.delete("v1"),
        lambda: table.branches.create("v1", None, 3),
        lambda: table.create_index("text", config=FTS(), replace=True),
        lambda: table.optimize(cleanup_older_than=FOREVER),
        lambda: clean(table),
    )
    look()
    for step in steps:
        step()
        look()
    assert changed, "the hint of the newest version is written anew"
    assert not [name for name in changed if disk_names.is_written_once(name)]
    in_the_table = [name for name in changed if not name.startswith(("_refs/", "tree/"))]
    assert all(disk_names.is_replaced(name) for name in in_the_table)
    assert {name.split("/")[0] for name in seen if disk_names.is_written_once(name)} == {
        "_deletions", "_indices", "_transactions", "_versions", "data",
    }  # fmt: skip


def test_a_table_can_do_without_the_files_that_are_replaced(table, folder):
    for name in list(files_below(folder)):
        if disk_names.is_replaced(name):
            (folder / name).unlink()
    assert again(folder).count_rows() == 2 * ROWS


def test_a_row_id_is_the_number_of_the_fragment_and_the_row(table):
    found = ids(table)
    assert set(found >> disk_names.FRAGMENT_BITS) == {0, 1}
    assert set(found & (1 << disk_names.FRAGMENT_BITS) - 1) == set(range(ROWS))
    table.delete(disk_names.rows_of_fragment(0))
    assert set(ids(table) >> disk_names.FRAGMENT_BITS) == {1}


@pytest.mark.parametrize(("condition", "bitmap"), [("id % 5 = 0", False), ("id % 2 = 0", True)])
def test_a_deletion_file_names_its_fragment_and_can_be_an_empty_one(
    table, folder, condition, bitmap
):
    table.delete(f"id < {ROWS} AND {condition}")
    (name,) = found = disk_names.deletion_files(files_below(folder))
    assert found[name] == 0
    assert name.endswith(disk_names.BITMAP_SUFFIX) is bitmap
    (folder / name).unlink()
    with pytest.raises(RuntimeError, match=disk_names.GONE):
        again(folder).search().to_arrow()
    _delete_nothing(folder / name)
    assert len(ids(again(folder))) == 2 * ROWS


def test_a_deletion_file_in_arrow_format_has_one_column(table, folder):
    table.delete("id = 3 OR id = 5")
    (name,) = disk_names.deletion_files(files_below(folder))
    content = pa.ipc.open_file(str(folder / name)).read_all()
    assert content.schema == pa.schema(
        [pa.field(disk_names.DELETION_COLUMN, pa.uint32(), nullable=False)]
    )
    assert sorted(content[disk_names.DELETION_COLUMN].to_pylist()) == [3, 5]


def test_the_files_of_an_index_lie_in_a_folder_of_its_uuid(table, folder):
    table.create_index("text", config=FTS())
    assert disk_names.index_uuids(files_below(folder)) == {
        str(index.index_uuid) for index in table.list_indices()
    }


def test_a_branch_is_a_name_and_a_folder_and_keeps_its_version(table, folder):
    table.branches.create("v7", None, 2)
    (name,), (files,) = disk_names.branch_names(folder), disk_names.branch_folders(folder)
    assert name.stem == files.name == "v7"
    assert all(path.stat().st_size for path in disk_names.branch_manifests(folder, "v7"))
    assert disk_names.branch_manifests(folder, "v7")
    table.add(rows(5))
    table.add(rows(5))
    clean(table)
    assert disk_names.versions_on_disk(folder) == {2, table.version}
    table.branches.delete("v7")
    assert not disk_names.branch_names(folder)


def test_a_branch_without_its_name_cannot_be_made_again(table, folder):
    table.branches.create("v7", None, 2)
    disk_names.branch_names(folder)[0].unlink()
    with pytest.raises(RuntimeError):
        again(folder).branches.create("v7", None, 2)


def test_no_other_module_spells_a_name_of_lance():
    names = re.compile(
        r"(?<![a-z])_(?:versions|transactions|indices|deletions|refs)\b|\.manifest\b|\.tmp|\.lance$"
        r"|latest_version"
    )
    package = PROJECT / "localembed"
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and "\n" not in node.value  # of a docstring, not of a name
        and not node.value.startswith("localembed.")  # a module
        and names.search(node.value)
    }
    assert found == {"store/lance/disk_names.py"}


# Errors


def test_what_is_gone_is_said_in_one_of_three_ways(table, folder, tmp_path):
    with pytest.raises(ValueError, match="was not found"):
        lancedb.connect(tmp_path).open_table("none")
    with pytest.raises(ValueError, match="no longer exists"):
        lancedb.connect(tmp_path).open_table("t", version=99)
    next((folder / "data").iterdir()).unlink()
    with pytest.raises(RuntimeError, match="Not found"):
        table.search().to_arrow()
    for text in ("was not found", "no longer exists", "Not found"):
        assert disk_names.GONE.search(text)
    with pytest.raises(VersionGoneError), lance_errors(folder):
        table.search().to_arrow()


def test_an_error_ends_in_a_position_in_the_source(table):
    with pytest.raises(RuntimeError) as caught:
        table.count_rows("1 / (id - 4) > 0")
    assert disk_names.SOURCE_POSITION.search(str(caught.value).splitlines()[0])
    assert first_sentence(caught.value).endswith("Divide by zero error")


@pytest.mark.parametrize(
    "condition", ["1 / (id - 4) > 0", "CAST(text AS INT) = 3"], ids=["division", "cast"]
)
def test_a_filter_that_fails_on_a_row_is_a_runtime_error_that_says_so(table, condition):
    with pytest.raises(RuntimeError, match=disk_names.FILTER_FAILED_ON_A_ROW):
        table.count_rows(condition)


@pytest.mark.parametrize(
    "condition",
    ["id = = 3", "nope = 3", "nope(id) = 3", "text + 3 > id", "regexp_like(text, '(')"],
    ids=["syntax", "column", "function", "types", "expression"],
)
def test_a_filter_that_is_not_understood_is_a_value_error(table, condition):
    with pytest.raises(ValueError, match="Invalid input"):
        table.count_rows(condition)


ADD = """
import sys
from pathlib import Path
from localembed.store.lance.slim_import import leave_out_namespaces
leave_out_namespaces()
import lancedb, pyarrow
try:
    table = lancedb.connect(Path(sys.argv[1])).open_table("t")
    table.add(pyarrow.table({"id": pyarrow.array([1], pyarrow.int64()), "text": ["x"]}))
except (RuntimeError, ValueError, OSError) as error:
    print(error)
"""


def add_with(fault: str, call: str, folder) -> subprocess.CompletedProcess[str]:
    """Add a row in another process, one of whose system calls goes wrong."""
    needs_strace()
    strace = ("strace", "-f", "-qq", "-o", os.devnull, "-e", f"trace={call}")
    return subprocess.run(
        [*strace, "-e", f"inject={call}:{fault}", sys.executable, "-c", ADD, folder.parent],
        env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("call", "errno", "mark", "sentence"),
    [
        ("renameat", "ENOSPC", disk_names.DISK_FULL, "the disk is full"),
        ("renameat", "EACCES", disk_names.NO_PERMISSION, "permission denied"),
        ("renameat", "EROFS", disk_names.READ_ONLY, "the disk is read-only"),
        ("renameat", "EIO", disk_names.IO_ERROR, "an input/output error"),
        ("renameat", "EOPNOTSUPP", disk_names.NO_HARD_LINKS[0], "no hard links"),
        ("renameat", "EOPNOTSUPP", disk_names.NO_HARD_LINKS[1], "no hard links"),
        ("linkat", "EOPNOTSUPP", disk_names.NO_HARD_LINKS[2], "no hard links"),
        ("linkat", "EPERM", disk_names.NO_HARD_LINKS[3], "no hard links"),
    ],
)
def test_what_the_disk_refuses_is_in_the_text(folder, call, errno, mark, sentence):
    text = add_with(f"error={errno}", call, folder).stdout
    assert mark in text
    with pytest.raises(StorageError, match=sentence), lance_errors(folder):
        raise RuntimeError(text)


def test_a_file_that_is_not_whole_has_a_name_of_its_own(folder):
    before = set(files_below(folder))
    killed = add_with("signal=SIGKILL:when=1", "renameat", folder)
    assert not killed.stdout
    left = set(files_below(folder)) - before
    assert left
    assert all(disk_names.is_partial(name) for name in left)


def test_a_version_with_files_of_another_folder_says_so(table, folder, tmp_path):
    manifest = disk_names.manifest_path(folder, table.version).read_bytes()
    assert not disk_names.refers_elsewhere(manifest)
    lancedb.connect(tmp_path / "b").clone_table("t", str(folder), is_shallow=True)

    clone = tmp_path / "b" / folder.name
    borrowed = disk_names.manifest_path(clone, disk_names.newest_version(clone)).read_bytes()

    assert not (clone / "data").exists()
    assert len(again(clone)) == 2 * ROWS
    assert disk_names.refers_elsewhere(borrowed)
    for length in range(len(borrowed)):
        disk_names.refers_elsewhere(borrowed[:length] + b"LANC")


def test_versions_that_indexes_compaction_and_branches_make_have_their_own_files(table, folder):
    table.create_index("text", config=FTS())
    table.delete("id < 10")
    table.branches.create("v1", from_version=table.version)
    table.optimize()
    for version in disk_names.versions_on_disk(folder):
        path = disk_names.manifest_path(folder, version)
        assert not disk_names.refers_elsewhere(path.read_bytes())
