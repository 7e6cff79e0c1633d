"""The command line shows a few chunks of each file, and names the lines of the others."""

from __future__ import annotations

import json

import pytest

from tests.conftest import paragraphs


@pytest.fixture
def book(cli, notes):
    """A long file and six short ones, all about kettles."""
    sections = (f"# Kettle {n}\n\n{'kettle ' * (n + 1)} {paragraphs(3, str(n))}" for n in range(30))
    (notes / "book.md").write_text("\n\n".join(sections))
    for n in range(6):
        (notes / f"{n}.md").write_text(f"A kettle, and {paragraphs(1, f'x{n}')}")
    cli("init")
    assert cli("index").code == 0


def test_the_lines_of_the_others_are_named(book, cli):
    assert "also at lines " in cli("query", "kettle", "-k", "8").out
    assert "also at" not in cli("query", "kettle", "-k", "8", "--per-file", "0").out
    hits = json.loads(cli("query", "kettle", "-k", "8", "--json").out)["hits"]
    (best,) = (hit for hit in hits if hit["also"])
    assert set(best["also"][0]) == {"chunk_id", "start_line", "end_line", "score"}


def test_paths_are_printed_once_each(book, cli):
    lines = cli("query", "kettle", "-l", "-k", "7").out.splitlines()
    assert len(lines) == len(set(lines)) == 7
    refused = cli("query", "kettle", "-l", "--per-file", "2")
    assert refused.code == 2
    assert "--per-file works with the other forms" in " ".join(refused.err.split())
