"""Queries as people type them: several words, plain lines on stdin, paths of any spelling."""

from __future__ import annotations

import io
import json
import os
import sys

import pytest

from tests.conftest import paragraphs

TEXT = ("--mode", "text")


@pytest.fixture
def typed(cli, monkeypatch):
    """Answer lines on stdin."""

    def call(data, *arguments):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), "utf-8"))
        return cli("query", "-", *arguments)

    return call


@pytest.fixture
def folders(cli, notes):
    """Notes in folders, all with one word, and the current folder one of them."""
    for name in ("top.md", "sub/a.md", "sub/b.md", "sub/deep/c.md", "other/a.md", "x[1].md"):
        (notes / name).parent.mkdir(exist_ok=True)
        (notes / name).write_text(f"zebra of {name.replace('/', ' ')}\n")
    cli("init")
    assert cli("index").code == 0
    return notes


def test_words_need_no_quotes(indexed, cli):
    as_one = json.loads(cli("query", "rotating api keys", "--json").out)
    as_words = json.loads(cli("query", "rotating", "--json", "api", "keys").out)

    assert as_words["query"] == as_one["query"] == "rotating api keys"
    assert [hit["path"] for hit in as_words["hits"]] == [hit["path"] for hit in as_one["hits"]]
    assert cli("query", "").code == 2
    assert cli("query").code == 2
    assert cli("query", "words", "--like", "keys.md").code == 2


def test_lines_on_stdin_are_plain_or_json(indexed, typed):
    lines = b"""\xef\xbb\xbfrotating keys\r
"compost"

{"query": "air"}
"quoted" words
42
{x for x in y}
null
last line"""
    found = typed(lines, *TEXT)

    assert found.err == ""
    assert [json.loads(line)["query"] for line in found.out.splitlines()] == [
        "rotating keys", "compost", "air", '"quoted" words', "42", "{x for x in y}", "null",
        "last line",
    ]  # fmt: skip


@pytest.mark.parametrize("line", [b'{"text": "a"}', b'{"query": "a"', b'{"query": 3}', b" { "])
def test_a_line_that_is_half_an_object_is_refused_by_its_number(indexed, typed, line):
    found = typed(b"compost\n" + line, *TEXT)

    if line.strip() == b"{":
        assert found.code == 0
    else:
        assert found.code == 2
        assert found.err.startswith("Error: Line 2 must be plain text, a JSON string or an object")


def test_a_line_that_is_not_utf_8_is_refused_with_a_sentence(indexed, typed):
    found = typed(b"caf\xe9\n", *TEXT)

    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("Error: The query is not valid UTF-8.")


def test_paths_count_files(cli, notes):
    (notes / "long.md").write_text(paragraphs(40) + " zebra" * 3)
    for name in ("a", "b", "c"):
        (notes / f"{name}.md").write_text(f"pword3x1 pword9x1 {name}")
    cli("init")
    cli("index")

    for more in ((), TEXT):
        found = cli("query", "pword3x1 pword9x1 pword5x1 pword30x2", "-l", "-k", "3", *more)
        assert len(found.out.splitlines()) == len(set(found.out.splitlines())) == 3


def test_paths_of_all_formats_are_relative_below_the_current_folder(folders, cli, monkeypatch):
    def shown(form, *more):
        out = cli("query", "zebra", "-k", "9", "--format", form, "--path", "a.md", *more).out
        return {name for name in ("sub/a.md", "NOTES/sub/a.md", "NOTES/other/a.md") if name in out}

    for form in ("text", "paths", "vimgrep", "markdown", "context"):
        assert shown(form, "--path", "sub/a.md") >= {"sub/a.md"}, form
        assert "NOTES" not in cli("query", "zebra", "--format", form).out, form
    monkeypatch.chdir(folders / "sub")
    for form in ("text", "paths", "vimgrep", "markdown", "context"):
        assert shown(form) == {"NOTES/other/a.md"}, form
    assert shown("jsonl") >= {"NOTES/sub/a.md", "NOTES/other/a.md"}


def test_a_name_that_looks_like_an_option_gets_a_dot(cli, notes):
    (notes / "-rf").write_text("zebra\n")
    cli("init")
    cli("index")

    assert cli("query", "zebra", "-l").out == "./-rf\n"


def test_paths_end_with_nul_on_request(folders, cli):
    found = cli("query", "zebra", "-l", "-0", "--path", "sub/*.md").out

    assert sorted(found.split("\0")) == ["", "sub/a.md", "sub/b.md"]
    refused = cli("query", "zebra", "-0")
    assert (refused.code, refused.out) == (2, "")
    assert "--null separates paths: it works with -l, not with --format text." in refused.err


def test_a_name_that_is_not_utf_8_is_whole_in_a_pipe_and_distinct_in_json(run_cli, notes):
    names = [b"a\xff.md", b"a\xfe.md", b"a\\xff.md"]
    for name in names:
        with open(os.path.join(os.fsencode(notes), name), "w") as file:  # noqa: PTH118, PTH123
            file.write("zebra\n")
    assert run_cli("init", cwd=notes).returncode == 0
    assert run_cli("index", cwd=notes).returncode == 0

    found = run_cli("query", "zebra", "-l", "-0", cwd=notes, errors="surrogateescape").stdout
    hits = json.loads(run_cli("query", "zebra", "--json", cwd=notes).stdout)["hits"]

    assert sorted(map(os.fsencode, found.split("\0"))) == sorted([b"", *names])
    whole = {bytes.fromhex(hit["path_bytes"]) for hit in hits if "path_bytes" in hit}
    assert whole == {os.path.join(os.fsencode(notes), name) for name in names[:2]}  # noqa: PTH118
    assert len({(hit["path"], hit.get("path_bytes")) for hit in hits}) == 3


@pytest.mark.parametrize(
    ("place", "pattern", "names"),
    [
        (".", "./top.md", ["top.md"]),
        ("sub", "../top.md", ["top.md"]),
        ("sub", "./a.md", ["sub/a.md"]),
        ("sub", ".", ["sub/a.md", "sub/b.md", "sub/deep/c.md"]),
        ("sub", "./*.md", ["sub/a.md", "sub/b.md"]),
        ("sub/deep", "../../other/", ["other/a.md"]),
        (".", "sub", ["sub/a.md", "sub/b.md", "sub/deep/c.md"]),
        (".", "./sub/", ["sub/a.md", "sub/b.md", "sub/deep/c.md"]),
        (".", "sub/../top.md", ["top.md"]),
        (".", "sub/[ab].md", ["sub/a.md", "sub/b.md"]),
        (".", "x[1].md", ["x[1].md"]),
        (".", "./x[1].md", ["x[1].md"]),
        ("link", "./a.md", ["sub/a.md"]),
    ],
)
def test_a_path_is_what_the_user_means(folders, cli, monkeypatch, place, pattern, names):
    (folders / "link").symlink_to("sub")
    monkeypatch.chdir(folders / place)

    hits = json.loads(cli("query", "zebra", *TEXT, "--path", pattern, "--json").out)["hits"]

    assert sorted(hit["path"] for hit in hits) == sorted(f"NOTES/{name}" for name in names)


def test_a_path_through_a_link_is_the_folder_behind_it(folders, cli):
    (folders / "link").symlink_to("sub")
    whole = str(folders / "link" / "a.md")

    for pattern in (whole, "./link/a.md", "./link/[a].md"):
        assert cli("query", "zebra", *TEXT, "-l", "--path", pattern).out == "sub/a.md\n", pattern


def test_a_path_that_matches_nothing_is_named(folders, cli):
    found = cli("query", "zebra", "--path", "./nowhere.md", "--path", "*.rst")

    assert (found.code, found.out) == (1, "")
    assert found.err.splitlines()[:2] == [
        "No indexed file matches the path ./nowhere.md",
        "No indexed file matches the path *.rst",
    ]
    missed = cli("query", "quagga", *TEXT, "--path", "sub")
    assert (missed.code, missed.err) == (1, "Nothing found for: quagga\n")


def test_show_of_a_folder_shows_all_files_below_it(folders, cli, monkeypatch):
    def places(*arguments):
        hits = json.loads(cli("show", *arguments, "--json").out)["hits"]
        return [hit["path"].removeprefix("NOTES/") for hit in hits]

    below = ["sub/a.md", "sub/b.md", "sub/deep/c.md"]
    assert places("sub") == places("sub/") == below
    assert places("sub/deep") == ["sub/deep/c.md"]
    assert len(places(".")) == len(places("..")) == 6
    assert cli("show", "su").code == 1
    monkeypatch.chdir(folders / "sub")
    assert places(".") == below
    assert cli("query", "--like", ".", "-l", "-k", "9").out.count("\n") == 3


def test_stale_hits_are_marked_and_named_once(folders, cli):
    def stale(*arguments):
        found = cli("query", "zebra", *TEXT, "--json", *arguments)
        hits = json.loads(found.out)["hits"]
        return sorted(hit["path"].removeprefix("NOTES/") for hit in hits if hit["stale"]), found.err

    assert stale() == ([], "")
    os.utime(folders / "top.md", (1, 1))
    assert stale() == ([], "")
    (folders / "sub" / "a.md").write_text("zebra in a longer text\n")
    (folders / "other" / "a.md").unlink()
    names, notice = stale()
    assert names == ["other/a.md", "sub/a.md"]
    assert notice.endswith(
        "and 1 more file have changed since the last run. Run: localembed index\n"
    )
    assert stale("--path", "sub/a.md")[1] == (
        "sub/a.md has changed since the last run. Run: localembed index\n"
    )
    assert stale("--at", "1") == ([], "")
    assert stale("-q")[1] == ""
    cli("index", "--allow-mass-delete")
    assert stale() == ([], "")
