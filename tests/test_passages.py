"""Passages that are indexed: shown, and what is like them."""

from __future__ import annotations

import json

import pytest

from localembed.errors import UsageError
from localembed.queries import Filter
from tests.conftest import paragraphs


@pytest.fixture
def indexed(workspace, notes):
    """Three notes, one of several chunks."""
    (notes / "zebra.md").write_text("the zebra runs over the plain")
    (notes / "zebras.md").write_text("the zebra runs over another plain")
    (notes / "long.txt").write_text(paragraphs(9))
    workspace.index()
    return workspace


def test_what_is_like_a_file_leaves_the_file_out(indexed, notes):
    found = indexed.like(str(notes / "zebra.md"), top_k=2)
    assert (found.mode, found.query) == ("vector", str(notes / "zebra.md"))
    assert found.hits[0].path == str(notes / "zebras.md")
    assert all(hit.path != str(notes / "zebra.md") for hit in found.hits)


def test_a_line_or_an_id_means_its_chunks(indexed, notes):
    chunks = indexed.show(str(notes / "long.txt"))
    assert len(chunks) > 2
    assert [hit.start for hit in chunks] == sorted(hit.start for hit in chunks)
    text = (notes / "long.txt").read_text()
    assert all(text[hit.start : hit.end] == hit.text for hit in chunks)
    last = chunks[-1]
    here = indexed.show(f"{notes / 'long.txt'}:{last.end_line}")
    assert here[-1].chunk_id == last.chunk_id
    assert all(hit.start_line <= last.end_line <= hit.end_line for hit in here)
    assert [hit.chunk_id for hit in indexed.show(last.chunk_id)] == [last.chunk_id]
    like = indexed.like(last.chunk_id, top_k=100)
    everything = len(indexed.query("a", mode="vector", top_k=100))
    assert len(like.hits) == everything - 1


def test_a_file_whose_name_ends_in_a_number_is_that_file(workspace, notes):
    (notes / "a:7").write_text("zebra")
    workspace.index()
    assert len(workspace.show(str(notes / "a:7"))) == 1


def test_a_filter_holds_for_what_is_like_a_passage(indexed, notes):
    found = indexed.like(str(notes / "zebra.md"), wanted=Filter(paths=("*.txt",)))
    assert {hit.path for hit in found.hits} == {str(notes / "long.txt")}


def test_a_place_that_is_not_indexed_is_said(indexed, notes, tmp_path):
    with pytest.raises(UsageError, match="is not indexed, or has no vector"):
        indexed.like(str(notes / "nowhere.md"))
    with pytest.raises(UsageError, match="is in no root of this workspace"):
        indexed.like(str(tmp_path / "other.md"))
    assert indexed.show(str(notes / "nowhere.md")) == []
    assert indexed.show("0" * 32) == []


def test_a_passage_without_a_vector_is_like_nothing(workspace, notes, fake):
    from tests.fake_backend import _tokens

    fake.broken.add(int(_tokens("unembeddable").ids[0]))
    (notes / "a.md").write_text("unembeddable")
    (notes / "b.md").write_text("zebra")
    workspace.index()
    assert len(workspace.show(str(notes / "a.md"))) == 1
    with pytest.raises(UsageError, match="has no vector"):
        workspace.like(str(notes / "a.md"))


@pytest.fixture
def cli(run_cli, tmp_path):
    """The command line beside an index of one note."""
    (tmp_path / "a.md").write_text("# Keys\n\nrotating api keys\n")
    (tmp_path / "b.md").write_text("more api keys\n")
    run_cli("init")
    run_cli("index", "a.md", "b.md")
    return run_cli


def test_show_prints_whole_chunks(cli):
    done = cli("show", "a.md")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("a.md:1-3  ")
    assert lines[1:] == ["   Keys", "   # Keys", "", "   rotating api keys", ""]
    identity = lines[0].split()[-1]
    assert cli("show", identity).stdout == done.stdout
    assert json.loads(cli("show", "a.md:3", "--json").stdout)["hits"][0]["chunk_id"] == identity


def test_show_of_nothing_exits_with_1(cli):
    done = cli("show", "a.md:99")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Nothing is indexed of a.md:99\n"


def test_like_takes_the_place_of_a_text(cli):
    assert cli("query", "--like", "a.md:3", "-l").stdout.endswith("b.md\n")
    for arguments in ([], ["text", "--like", "a.md"], ["--like", "a.md", "--mode", "text"]):
        done = cli("query", *arguments)
        assert done.returncode == 2
        assert "Give either TEXT or --like PLACE" in done.stderr


def test_questions_come_from_stdin(cli):
    lines = ['"rotating"', "", '{"query": "api", "id": 7}']
    done = cli("query", "-", "--mode", "text", input="\n".join(lines))
    assert done.returncode == 0
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["query"] for answer in answers] == ["rotating", "api"]
    assert [len(answer["hits"]) for answer in answers] == [1, 2]
    assert cli("query", "-", "--mode", "text", input='"unheard"').returncode == 1


@pytest.mark.parametrize("line", ["plain words", "7", '{"text": "x"}', "[]"])
def test_a_line_that_is_no_question_is_named(cli, line):
    done = cli("query", "-", input=f'"fine"\n{line}\n')
    assert done.returncode == 2
    assert 'Line 2 must be a JSON string, or an object with "query".' in done.stderr
