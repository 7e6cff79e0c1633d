"""`localembed query`: hits as text, JSON, JSON lines and paths."""

from __future__ import annotations

import json
import re

import click
import pytest
from click.testing import CliRunner

from localembed.cli.main import cli as group
from tests.cli.conftest import columns
from tests.conftest import paragraphs

HIT_KEYS = {
    "rank", "score", "path", "start_line", "end_line", "start", "end", "heading", "text",
    "chunk_id", "tokens", "similarity", "text_score", "vector_rank", "text_rank", "found_rank",
    "stale", "also", "confidence", "line",
}  # fmt: skip


def test_query_shows_place_heading_and_snippet(indexed, cli):
    found = cli("query", "rotating api keys", "-k", "1")

    assert re.sub(r"\d\.\d{3}", "SCORE", found.out) == (
        " 1 keys.md:3  SCORE\n   Keys\n   Rotating api keys every month.\n\n"
    )
    assert (found.code, found.err) == (0, "")


def test_query_json_has_exactly_the_documented_fields(indexed, cli):
    answer = json.loads(cli("query", "rotating api keys", "--json").out)

    assert set(answer) >= {"query", "mode", "version", "model", "good", "seconds", "hits"}
    assert [set(hit) for hit in answer["hits"]] == [HIT_KEYS, HIT_KEYS]
    first = answer["hits"][0]
    assert {key: first[key] for key in ("rank", "path", "start_line", "end_line", "heading")} == {
        "rank": 1, "path": "NOTES/keys.md", "start_line": 1, "end_line": 3, "heading": "Keys",
    }  # fmt: skip
    text = (indexed / "keys.md").read_text()
    assert text[first["start"] : first["end"]] == first["text"]


def test_query_jsonl_is_one_hit_a_line(indexed, cli):
    lines = cli("query", "compost", "--format", "jsonl").out.splitlines()

    hits = [json.loads(line) for line in lines]
    assert [hit["rank"] for hit in hits] == [1, 2]
    assert [set(hit) for hit in hits] == [HIT_KEYS, HIT_KEYS]


def test_query_paths_names_each_file_once(cli, notes):
    (notes / "long.md").write_text(paragraphs(20))
    (notes / "compost.md").write_text("Compost needs air.")
    cli("index", ".")

    found = cli("query", "compost pword3x1 pword9x1", "--format", "paths")

    assert sorted(found.out.splitlines()) == ["compost.md", "long.md"]


def test_query_exits_with_1_when_nothing_is_found(indexed, cli):
    text = cli("query", "zebra", "--mode", "text")
    quiet = cli("query", "zebra", "--mode", "text", "-q")
    as_json = cli("query", "zebra", "--mode", "text", "--json")

    assert text.parts == (1, "", "Nothing found for: zebra\n")
    assert quiet.parts == (1, "", "")
    assert (as_json.code, json.loads(as_json.out)["hits"]) == (1, [])


def test_query_marks_the_words_when_there_is_colour(indexed, fake):
    coloured = CliRunner().invoke(group, ["query", "rotating keys", "-k", "1"], color=True)
    plain = CliRunner().invoke(group, ["query", "rotating keys", "-k", "1"])

    marked = [click.style(word, fg="yellow", bold=True) for word in ("Rotating", "keys")]
    assert f"   {marked[0]} api {marked[1]} every month.\n" in coloured.output
    assert "\x1b" not in plain.output
    assert click.unstyle(coloured.output) == plain.output


def test_query_escapes_control_characters_in_path_and_text(cli, notes):
    (notes / "a\x1b[2J\n.md").write_text(
        "Clears \x1b[2J the screen, rings \x07 the bell.\n" + "A plain line of text. " * 9
    )
    cli("index", ".")

    shown = cli("query", "screen", "-k", "1").out

    assert "a\\x1b[2J\\n.md:1" in shown
    assert "Clears \\x1b[2J the screen, rings \\x07 the bell." in shown


def test_query_escapes_control_characters_in_a_heading(cli, notes):
    (notes / "a.md").write_text("# Rings \x07 the bell\n\n" + "Some words. " * 9)
    cli("index", ".")

    shown = cli("query", "words").out

    assert "Rings" in shown
    assert "\x07" not in shown


@pytest.mark.parametrize("heading", ["A very long heading " * 9, "日本語の見出し" * 9])
def test_no_line_of_a_hit_is_wider_than_the_terminal(cli, notes, heading):
    (notes / "a.md").write_text(f"# {heading}\n\n{heading} words\n")
    cli("index", ".")

    shown = cli("query", "words").out

    assert "…" in shown
    assert max(map(columns, shown.splitlines())) <= 80


def test_a_query_without_an_index_exits_with_5(cli):
    result = cli("query", "keys")

    assert (result.code, result.out) == (5, "")
    assert "Nothing is indexed in " in result.err
    assert "Run: localembed index FOLDER" in result.err


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_an_empty_query_exits_with_2(indexed, cli, text):
    result = cli("query", text)

    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("Error: The query is empty.")


@pytest.mark.parametrize("mode", ["vector", "text", "hybrid"])
def test_a_query_that_is_not_utf8_exits_with_2(indexed, cli, mode):
    result = cli("query", "keys\udcff", "--mode", mode)

    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("Error: The query is not valid UTF-8.")
