"""The line of a chunk that a query is after is its place."""

from __future__ import annotations

import pytest

from localembed.search.best_line import best_line

CODE = (
    "# parse_config reads files\nvalue = parse_config(path)\n\n"
    "def parse_config(path):\n    return 1"
)


@pytest.mark.parametrize(
    ("text", "query", "line"),
    [
        ("# Keys\n\nRotating api keys every month.", "rotating api keys", 2),
        ("nothing\nkeys\nkeys", "keys", 1),
        ("\n---\nfirst words\nmore", "zebra", 2),
        (CODE, "parse_config", 3),
        (CODE, "ini.parse_config()", 3),
        (CODE, "parse_config files", 0),
        ("one line", "line", 0),
        ("", "x", 0),
    ],
)
def test_the_best_line(text, query, line):
    assert best_line(text, query)[0] == line


def test_the_words_of_a_place_are_no_query(workspace, notes):
    (notes / "kettle.md").write_text("water")
    (notes / "long.md").write_text("# Notes\n\nSome words.\nThe kettle boils.\n")
    workspace.index()
    (hit,) = workspace.query(like=str(notes / "kettle.md"), top_k=1)
    assert hit.line == 1


def test_a_hit_has_its_best_line(workspace, notes):
    (notes / "long.md").write_text("# Notes\n\nSome words.\nMore of them.\nThe kettle boils.\n")
    workspace.index()
    (hit,) = workspace.query("kettle", top_k=1)
    assert (hit.start_line, hit.line) == (1, 5)
