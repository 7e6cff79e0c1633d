"""Passages that are indexed: shown, and what is like them."""

from __future__ import annotations

import json

import pytest

from localembed.errors import UsageError
from localembed.types.queries import Filter, Query
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
    found = indexed.like(Query(str(notes / "zebra.md"), top_k=2))
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
    like = indexed.like(Query(last.chunk_id, top_k=100))
    everything = len(indexed.query("a", mode="vector", top_k=100))
    assert len(like.hits) == everything - 1


def test_a_file_whose_name_ends_in_a_number_is_that_file(workspace, notes):
    (notes / "a:7").write_text("zebra")
    workspace.index()
    assert len(workspace.show(str(notes / "a:7"))) == 1


def test_a_filter_holds_for_what_is_like_a_passage(indexed, notes):
    found = indexed.like(Query(str(notes / "zebra.md"), filter=Filter(paths=("*.txt",))))
    assert {hit.path for hit in found.hits} == {str(notes / "long.txt")}


def test_a_place_that_is_not_indexed_is_said(indexed, notes, tmp_path):
    with pytest.raises(UsageError, match="is not indexed, or has no vector"):
        indexed.like(Query(str(notes / "nowhere.md")))
    with pytest.raises(UsageError, match="is in no root of this workspace"):
        indexed.like(Query(str(tmp_path / "other.md")))
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
        workspace.like(Query(str(notes / "a.md")))


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
    assert done.stderr == "Nothing is indexed for a.md:99\n"


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


@pytest.mark.parametrize("line", ['{"text": "x"}', '{"query": "x"'])
def test_a_line_that_is_no_question_is_named(cli, line):
    done = cli("query", "-", input=f'"fine"\n{line}\n')
    assert done.returncode == 2
    assert 'Line 2 must be plain text, a JSON string or an object with "query".' in done.stderr


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_lines_around_a_hit_are_those_of_the_file(workspace, notes, line_end):
    blocks = [f"{paragraphs(1, f's{n}')}{line_end}" + line_end * (n % 4) for n in range(30)]
    text = line_end + "".join(blocks)
    in_file = text.split("\n")
    (notes / "a.txt").write_bytes(text.encode())
    workspace.index()
    for lines in (1, 3, 40, 1000):
        hits = workspace.search(Query("s7word0x7", top_k=100, lines=lines)).hits
        assert len(hits) > 20
        for hit in hits:
            before, after = hit.before.count("\n"), hit.after.count("\n")
            assert before <= lines >= after
            shown = (hit.before + hit.text + hit.after).split("\n")
            first = hit.start_line - before
            whole = in_file[first - 1 : hit.end_line + after]
            assert [line.strip() for line in shown[1:-1]] == [line.strip() for line in whole[1:-1]]
            assert whole[0].rstrip().endswith(shown[0].rstrip())
            assert whole[-1].startswith(shown[-1])
    last = max(hits, key=lambda hit: hit.end)
    assert (last.before + last.text).split() == text.split()


def test_lines_that_no_chunk_holds_are_blank(workspace, notes):
    from localembed.search.surroundings import _joined, _Span

    spans = [_Span(4, 3, "one two"), _Span(8, 3, "two"), _Span(14, 6, "six"), _Span(20, 6, "end")]
    assert _joined(spans) == "one two\n\n\nsix   end"


def test_numbered_lines_are_shown_around_the_best(run_cli, tmp_path):
    lines = [f"line {number} says word{number}" for number in range(1, 60)]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    run_cli("init")
    run_cli("index", ".")
    shown = run_cli("query", "word30", "-k", "1", "-C", "2").stdout.splitlines()[1:-1]
    assert [line.strip() for line in shown] == [
        f"{n}  line {n} says word{n}" for n in range(28, 33)
    ]
    shown = run_cli("query", "word1", "-k", "1", "-C", "1", "--mode", "text").stdout.splitlines()
    assert [line.strip() for line in shown[1:3]] == [f"{n}  line {n} says word{n}" for n in (1, 2)]
    hit = json.loads(run_cli("query", "word30", "-k", "1", "-C", "2", "--json").stdout)["hits"][0]
    assert hit["before"] or hit["after"]
    refused = run_cli("query", "word30", "-C", "2", "-l")
    assert refused.returncode == 2
    assert "-C works with --format text" in refused.stderr


def test_a_query_that_was_split_is_said(run_cli, tmp_path):
    (tmp_path / "a.txt").write_text("zebra")
    run_cli("init")
    run_cli("index", ".")
    done = run_cli("query", "zebra " * 200)
    assert "exceeds the model's limit: it was embedded as" in done.stderr
    assert "exceeds the model's limit" not in run_cli("query", "zebra").stderr
    assert (
        "exceeds the model's limit" not in run_cli("query", "zebra " * 200, "--mode", "text").stderr
    )
