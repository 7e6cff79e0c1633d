"""With -q a command that changes something prints nothing on success: cron sends no mail."""

from __future__ import annotations

import json


def test_index_prints_nothing_while_all_is_well(cli, notes):
    (notes / "a.md").write_text("alpha\n")

    assert cli("init", "-q").parts == (0, "", "")
    assert cli("index", "-q").parts == (0, "", "")
    assert cli("index", "-q").parts == (0, "", "")
    assert json.loads(cli("index", "-q", "--json").out)["changed"] is False


def test_index_names_what_failed_on_stderr(cli, notes):
    (notes / "a.md").write_text("alpha\n")
    (notes / "bad.md").write_bytes(b"\xff\xfe\x00")
    cli("init")

    found = cli("index", "-q")

    assert (found.code, found.out) == (3, "")
    assert found.err.startswith("failed: bad.md: ")


def test_index_names_what_it_refused_on_stderr(indexed, cli):
    for path in (indexed / "keys.md", indexed / "garden" / "compost.txt"):
        path.unlink()

    found = cli("index", "-q")

    assert (found.code, found.out) == (5, "")
    assert found.err.startswith("refused:")


def test_every_change_is_silent(indexed, cli, tmp_path):
    (indexed / "more.md").write_text("more\n")
    cli("index")
    for arguments in (
        ("versions", "tag", "first"),
        ("versions", "tag", "first", "--delete"),
        ("versions", "restore", "1"),
        ("versions", "gc", "--keep", "1"),
        ("models", "use", "fake"),
        ("roots", "move", ".", "."),
        ("trust", "-y"),
        ("trust", "--forget"),
        ("serve", "--stop"),
        ("rm", "keys.md"),
        ("init",),
    ):
        assert cli(*arguments, "-q").parts == (0, "", ""), arguments


def test_what_was_asked_for_is_still_printed(indexed, cli):
    for arguments in (("query", "keys", "-k", "1"), ("status",), ("roots",), ("versions",)):
        assert cli(*arguments, "-q").out != ""
