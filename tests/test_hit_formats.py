"""Hits for editors, documents and prompts."""

from __future__ import annotations

import re

import pytest

from localembed.cli.render.hit_formats import context, markdown, vimgrep
from localembed.cli.render.output import echo, linked
from localembed.search.passages import merged, packed
from localembed.types.queries import SearchHit


def hit(path: str, text: str, start: int = 0, line: int = 1, tokens: int = 10) -> SearchHit:
    return SearchHit(
        chunk_id="0", score=0.5, path=path, start_line=line, end_line=line + text.count("\n"),
        start=start, end=start + len(text), heading="Top > Keys", text=text, tokens=tokens,
        similarity=0.5, text_score=0.0, vector_rank=1, text_rank=None,
    )  # fmt: skip


def test_vimgrep_names_the_line_that_answers_best():
    found = hit("/d/a.md", "# Keys\n\n  rotating api keys\nand keys", line=7)
    assert vimgrep(found, "rotating keys") == "/d/a.md:9:3:  rotating api keys"
    assert vimgrep(found, "zebra") == "/d/a.md:7:1:# Keys"
    assert vimgrep(hit("/d/a.md", "\n---\nword", line=3), "??") == "/d/a.md:5:1:word"


def test_markdown_fences_what_has_fences():
    shown = markdown(2, hit("/d/a.md", "text\n```sh\nls\n```\n", line=4))
    assert shown.startswith("## 2. /d/a.md:4-8\n\nTop > Keys · score 0.500\n\n````\ntext\n")
    assert shown.endswith("```\n````\n")


def test_context_packs_what_fits_and_merges_what_touches():
    text = "one two three four five six"
    hits = [
        hit("/d/b", "elsewhere", tokens=5),
        hit("/d/a", text[8:18], start=8, line=2),
        hit("/d/c", "too large for the rest", tokens=90),
        hit("/d/a", text[:13], start=0, line=1),
        hit("/d/a", text[18:], start=18, line=3),
    ]
    passages = merged(packed(hits, 40))
    assert [(p.path, p.text, p.rank) for p in passages] == [
        ("/d/b", "elsewhere", 0),
        ("/d/a", text, 1),
    ]
    assert (passages[1].start_line, passages[1].end_line) == (1, 3)
    assert context(hits, 40) == f"[1] /d/b:1-1\nelsewhere\n\n[2] /d/a:1-3\n{text}\n"
    assert context(hits, 4) == ""


def test_a_passage_inside_another_adds_nothing():
    hits = [hit("/d/a", "one two three"), hit("/d/a", "two", start=4)]
    assert [p.text for p in merged(packed(hits, 100))] == ["one two three"]


@pytest.fixture
def asked(run_cli, tmp_path):
    """Query an index of two notes."""
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text("# Keys\n\nrotating api keys\n")
    (tmp_path / "notes" / "b.txt").write_text("the zebra runs\n")
    run_cli("init")
    run_cli("index", "notes")
    return lambda *arguments: run_cli("query", *arguments)


def test_the_command_prints_every_form(asked):
    assert asked("zebra", "--format", "vimgrep", "-k", "1").stdout == (
        "notes/b.txt:1:1:the zebra runs\n"
    )
    assert asked("zebra", "--format", "markdown", "-k", "1").stdout.startswith(
        "## 1. notes/b.txt:1"
    )
    assert asked("zebra", "--format", "context", "-k", "1").stdout == (
        "[1] notes/b.txt:1-1\nthe zebra runs\n"
    )
    assert asked("zebra", "-l", "-k", "1").stdout.endswith("notes/b.txt\n")
    assert asked("zebra", "--format", "json").stdout[:10] == asked("zebra", "--json").stdout[:10]


def test_a_budget_that_nothing_fits_into_is_said(asked):
    done = asked("zebra", "--format", "context", "--budget", "1")
    assert done.stdout == ""
    assert "No hit fits within 1 token" in done.stderr


def test_a_least_score_leaves_hits_out(asked):
    everything = asked("zebra", "-l", "--mode", "vector").stdout.count("\n")
    assert everything == 2
    assert asked("zebra", "-l", "--mode", "vector", "--min-score", "0.3").stdout.count("\n") == 1
    done = asked("zebra", "--min-score", "100")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        r"Nothing found for: zebra; the closest is notes/b\.txt:1 with \d\.\d{3}\n", done.stderr
    )


def test_the_parts_of_a_score_are_shown(asked):
    lines = asked("zebra", "-k", "1", "--explain").stdout.splitlines()
    assert lines[1].strip().startswith("cosine 0.")
    assert "(rank 1), text " in lines[1]
    assert lines[1].endswith("(rank 1)")


def test_what_says_the_same_is_shown_once(run_cli, tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.md").write_text("the zebra  runs\n" + "\n" * (name == "b"))
    run_cli("init")
    run_cli("index", ".")
    shown = run_cli("query", "zebra").stdout.splitlines()
    assert sum(line.startswith(" 1 ") for line in shown) == 1
    assert not any(line.startswith(" 2 ") for line in shown)
    others = {f"{name}.md:1" for name in "abc"} - {shown[0].split()[1]}
    assert set(shown[2].strip().removeprefix("also in 2 more places: ").split(", ")) == others
    assert run_cli("query", "zebra", "--format", "jsonl").stdout.count("\n") == 3


def test_links_only_where_they_are_understood(monkeypatch, capsys):
    monkeypatch.delenv("VTE_VERSION", raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert linked("a", "/d/a b") == "a"
    monkeypatch.setenv("VTE_VERSION", "7000")
    echo(linked("a", "/d/a b"), nl=False)
    assert capsys.readouterr().out == "\033]8;;file:///d/a%20b\033\\a\033]8;;\033\\"
    monkeypatch.setattr("sys.stdout.isatty", lambda: False)
    assert linked("a", "/d/a b") == "a"
