"""`rm`: exactly the named path goes, whatever its name is, until it is indexed by name."""

from __future__ import annotations

import os
import shutil
import tomllib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import localembed
from localembed.errors import UsageError
from localembed.sources import WalkRules, walk
from localembed.store.pending_vectors import PendingVectors
from localembed.types.documents import Root
from tests.sweeps import sampled

NAMES = [
    b"plain.md", b"[ab].md", b"*.md", b"*", b"?.md", b"!x.md", b"#y.md", b"trailing .md",
    b"trailing ", b" leading", b"tab\t.md", b"tab\t", b"line\nend.md", b"cr\rend.md",
    b"back\\slash.md", b"bytes\xff.md", b"\xff", b"cut\xe2\x82.md", b"**", b"a{b,c}.md",
    b"caf\xc3\xa9.md", b"cafe\xcc\x81.md", b"-flag.md", b"~x", b"$HOME", b"[[:alpha:]].md",
    b"quote'\".md", b"nbsp\xc2\xa0",
]  # fmt: skip
DECOYS = [
    b"a.md", b"b.md", b"x.md", b"y.md", b"!!x.md", b"trailing", b"leading", b"lineXend.md",
    b"crXend.md", b"backXslash.md", b"bytesX.md", b"X", b"cutXX.md", b"ab.md", b"plainX.md",
]  # fmt: skip


def indexed(workspace) -> set[bytes]:
    """Return the relative paths of every document."""
    from localembed.store.lance.connection import connect

    handle = connect(workspace.layout.vectors).open_table(workspace.status().table)
    return {row["path_bytes"] for row in handle.search().select(["path_bytes"]).to_list()}


@pytest.fixture
def many(workspace, notes):
    """A workspace with a file of each name in a folder `sub`, and with decoys."""
    folder = notes / "sub"
    folder.mkdir()
    for name in (*NAMES, *DECOYS):
        (folder / os.fsdecode(name)).write_bytes(b"Words of " + name.hex().encode())
    workspace.index([notes])
    return workspace


@pytest.mark.parametrize("name", sampled(NAMES, 4), ids=[name.hex() for name in NAMES])
def test_exactly_the_named_file_goes_and_comes_back_by_name(many, notes, fake, name):
    every = {b"sub/" + other for other in (*NAMES, *DECOYS)}
    path = notes / "sub" / os.fsdecode(name)
    assert indexed(many) == every
    fake.embedded.clear()

    assert many.remove(path).files.removed == 1
    assert indexed(many) == every - {b"sub/" + name}
    assert not many.index().changed
    assert not many.index([notes / "sub"]).changed

    assert many.index([path]).chunks.embedded == 0
    assert indexed(many) == every
    assert (many.index().changed, fake.embedded) == (False, [])


def test_a_removed_folder_stays_out_with_all_that_is_put_into_it(many, notes):
    many.remove(notes / "sub")
    (notes / "sub" / "new.md").write_text("New words.")

    assert not many.index().changed
    report = many.index([notes / "sub" / "new.md"])
    assert (report.changed, report.skipped[0].path) == (False, os.fsencode(notes / "sub") + b"/")
    assert "removed with localembed rm" in report.skipped[0].reason
    assert many.index([notes / "sub"]).files.added == len(NAMES) + len(DECOYS) + 1


def test_a_removed_file_stays_out_when_its_folder_is_taken_back(many, notes):
    many.remove(notes / "sub" / "a.md")
    many.remove(notes / "sub")

    many.index([notes / "sub"])

    assert b"sub/a.md" not in indexed(many)
    assert b"sub/b.md" in indexed(many)


def test_a_removed_file_stays_out_when_a_parent_takes_its_root_over(workspace, notes, tmp_path):
    (notes / "sub").mkdir()
    (notes / "sub" / "secret.md").write_text("Secret words.")
    (notes / "sub" / "open.md").write_text("Open words.")
    workspace.index([notes / "sub"])
    workspace.remove(notes / "sub" / "secret.md")

    workspace.index([notes])

    assert indexed(workspace) == {b"sub/open.md"}


def test_a_removed_file_stays_out_whatever_the_options_are(workspace, notes):
    (notes / ".hidden.md").write_text("Hidden words.")
    (notes / "a.md").write_text("Words.")
    workspace.index([notes], options={"hidden": True})
    workspace.remove(notes / ".hidden.md")

    for options in ({"no_ignore": True}, {"include": ("*.md",)}):
        assert not workspace.index([notes], options=options).changed
    assert indexed(workspace) == {b"a.md"}


def test_a_removed_file_stays_out_after_a_move(workspace, notes, tmp_path):
    (notes / "a.md").write_text("Words.")
    (notes / "b.md").write_text("Other words.")
    workspace.index([notes])
    workspace.remove(notes / "a.md")

    moved = localembed.open(notes.rename(tmp_path / "moved"))

    assert not moved.index().changed
    assert indexed(moved) == {b"b.md"}


def test_what_neither_exists_nor_is_indexed_is_refused(workspace, notes):
    (notes / "a.md").write_text("Words.")
    workspace.index([notes])
    before = workspace.layout.config.read_bytes()

    with pytest.raises(UsageError, match="does not exist, and nothing of it is indexed"):
        workspace.remove(notes / "b.md")

    assert workspace.layout.config.read_bytes() == before


def test_a_deleted_file_that_is_indexed_goes_and_stays_out(workspace, notes):
    (notes / "sub").mkdir()
    (notes / "sub" / "a.md").write_text("Words.")
    (notes / "b.md").write_text("Other words.")
    workspace.index([notes])
    shutil.rmtree(notes / "sub")

    assert workspace.remove(notes / "sub").files.removed == 1
    (notes / "sub").mkdir()
    (notes / "sub" / "a.md").write_text("Words.")
    assert not workspace.index().changed


def test_a_file_that_is_not_indexed_yet_is_kept_out(workspace, notes):
    (notes / "a.md").write_text("Words.")
    workspace.index([notes])
    (notes / "b.md").write_text("Other words.")

    assert workspace.remove(notes / "b.md").files.removed == 0
    assert not workspace.index().changed


def test_in_an_ascii_locale_exactly_that_file_goes(run_cli, tmp_path):
    folder = tmp_path / "root"
    folder.mkdir()
    for name in ("höhe.md", "hXhe.md", "h??he.md"):
        (folder / name).write_text(f"Words of {name.encode().hex()}.")
    ascii_only = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    run_cli("index", folder, "--workspace", "ws")

    removed = run_cli("rm", folder / "höhe.md", "--workspace", "ws", env=ascii_only)

    assert removed.returncode == 0, removed.stderr
    config = tomllib.loads((tmp_path / "ws" / "config.toml").read_text())
    assert config["roots"][0]["removed"] == ["höhe.md"]
    again = run_cli("index", "--workspace", "ws", "--json")
    assert '"changed": false' in again.stdout
    assert '"total": 2' in again.stdout


def test_the_same_folder_by_another_name_is_the_folder(workspace, notes, tmp_path):
    (notes / "a.md").write_text("Words.")
    (notes / "b.md").write_text("Other words.")
    workspace.index([notes])
    (tmp_path / "link").symlink_to(notes)

    assert workspace.remove(tmp_path / "link" / "a.md").files.removed == 1


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_name_takes_another_one_with_it(tmp_path_factory, data):
    byte = st.integers(1, 255).filter(lambda n: n != ord("/"))
    name = (
        st.lists(byte, min_size=1, max_size=6).map(bytes).filter(lambda n: n not in (b".", b".."))
    )
    names = data.draw(st.sets(name, min_size=2, max_size=6))
    gone = data.draw(st.sampled_from(sorted(names)))
    folder = os.fsencode(tmp_path_factory.mktemp("names"))
    for each in names:
        with open(os.path.join(folder, each), "wb") as file:  # noqa: PTH118, PTH123 - bytes
            file.write(b"words")
    root = Root("r", folder, hidden=True, no_ignore=True)

    before = {file.path for file in walk(root, WalkRules(1 << 20)).files}
    kept = Root("r", folder, hidden=True, no_ignore=True, removed=frozenset({gone}))

    assert {file.path for file in walk(kept, WalkRules(1 << 20)).files} == before - {gone}


def test_rm_drops_the_pending_vectors_of_tables_that_were_never_published(workspace, notes):
    (notes / "a.md").write_text("Some words.")
    workspace.index()
    other = PendingVectors(workspace.layout, "another space", 2)
    other.save([b"key"], np.ones((1, 2), np.float32))

    workspace.remove(notes)

    assert not list(workspace.layout.pending.glob("*"))
