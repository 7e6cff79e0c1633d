"""`localembed rm`: files and roots that later runs leave out."""

from __future__ import annotations

import json
import os

import pytest


def test_rm_forgets_a_file_and_later_runs_leave_it_out(indexed, cli):
    gone = cli("rm", "garden/compost.txt")

    assert gone.parts == (0, "Removed garden/compost.txt from the index: 1 file, 1 chunk\n", "")
    assert cli("index").out.startswith("Nothing changed")
    assert "Root      NOTES without garden/compost.txt\n" in cli("status").out


def test_rm_forgets_a_whole_root(indexed, cli):
    assert cli("rm", ".").parts == (0, "Removed . from the index: 2 files, 2 chunks\n", "")
    assert "Root" not in cli("status").out
    assert cli("query", "keys").code == 1


def test_rm_counts_only_files_that_were_indexed(indexed, cli):
    (indexed / "picture.bin").write_bytes(b"\0\1\2" * 99)
    cli("index")

    assert cli("rm", ".").out == "Removed . from the index: 2 files, 2 chunks\n"


def test_rm_of_a_path_in_no_root_names_the_roots(indexed, cli, tmp_path):
    result = cli("rm", tmp_path / "elsewhere")

    assert (result.code, result.out) == (2, "")
    assert result.err.endswith("elsewhere is in no root of this workspace. Roots: NOTES\n")


@pytest.mark.parametrize("name", [b"bytes\xff.md", b"cut\xe2\x82.md", b"line\nend\n.md", b"s .md"])
def test_rm_leaves_a_strangely_named_file_out_for_good(cli, notes, name):
    (notes / "other.md").write_text("Other words.")
    (notes / os.fsdecode(name)).write_text("Some words.")
    cli("index", ".")

    cli("rm", os.fsdecode(name), "--json")

    report = json.loads(cli("index", "--json").out)
    assert (report["files"]["added"], report["files"]["skipped"]) == (0, 1)
    assert report["chunks"]["total"] == 1


def test_rm_of_a_file_with_a_strange_name_works_on_a_strict_terminal(run_cli, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    name = os.fsdecode(b"a\xff.md")
    (root / name).write_text("Some words.")
    run_cli("index", root, "--workspace", "ws")

    strict = {"PYTHONIOENCODING": "utf-8:strict"}
    removed = run_cli("rm", root / name, "--workspace", "ws", env=strict)

    assert removed.returncode == 0, removed.stderr
