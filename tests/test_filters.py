"""What a query may look at is decided before it looks."""

from __future__ import annotations

import os
import re
import time

import pytest

from localembed.errors import UsageError
from localembed.store.lance.filters import glob_regex, language_regex
from localembed.types.queries import Filter
from tests.conftest import paragraphs
from tests.sweeps import sampled


@pytest.mark.parametrize(
    ("glob", "matching", "others"),
    [
        ("*.md", ["a.md", "x/y/a.md"], ["a.mdx", "a.md/x"]),
        ("docs/", ["docs/a", "x/docs/y/b.md"], ["docs", "mydocs/a"]),
        ("docs/*.md", ["docs/a.md", "x/docs/a.md"], ["docs/x/a.md", "xdocs/a.md"]),
        ("docs/**/*.md", ["docs/a.md", "docs/x/y/a.md"], ["docs/a.txt"]),
        ("/a?.(x)", ["/ab.(x)"], ["/x/ab.(x)", "/a/.(x)", "/ab.x"]),
        ("don't", ["don't", "x/don't"], ["dont"]),
        ("sub", ["sub", "x/sub", "sub/a", "x/sub/y/b.md"], ["subs", "xsub/a"]),
        ("a/sub", ["x/a/sub/b"], ["sub/b", "x/a/b/sub"]),
        ("/sub", ["/sub", "/sub/a"], ["/x/sub"]),
        ("sub/*", ["sub/a"], ["sub/a/b"]),
        ("[ab].md", ["a.md", "x/b.md", "[ab].md"], ["c.md", "ab.md", "[ab]/md"]),
        ("[!ab].md", ["c.md", "[!ab].md"], ["a.md", "b.md"]),
        ("[0-9a-]x", ["3x", "ax", "-x", "[0-9a-]x"], ["bx", "/x"]),
        ("[z-a]x", ["[z-a]x"], ["ax", "zx"]),
        ("[]a]x", ["]x", "ax"], ["bx"]),
        ("[&&^[~\\]x", ["&x", "^x", "[x", "~x", "\\x"], ["ax"]),
        ("[ab", ["[ab", "x/[ab"], ["a"]),
        ("x[1]/*.md", ["x1/a.md", "x[1]/a.md"], ["x2/a.md"]),
        ("北京*", ["北京.txt"], ["京.txt"]),
    ],
)
def test_a_glob_matches_whole_names(glob, matching, others):
    pattern = re.compile(glob_regex(glob))
    assert [path for path in matching if not pattern.search(path)] == []
    assert [path for path in others if pattern.search(path)] == []


@pytest.mark.parametrize(
    ("name", "matching", "others"),
    [
        ("python", ["a.py", "x/b.PY", "/c/wscript"], ["a.pyx", "py", "a.py.txt", "mywscript"]),
        ("py", ["a.py"], ["a.txt"]),
        ("Markdown", ["a.md", "a.markdown"], ["md"]),
        ("dockerfile", ["x/Dockerfile", "Containerfile"], ["Dockerfiles"]),
        ("c++", ["a.c++", "a.cpp", "a.h"], ["a.c"]),
    ],
)
def test_a_language_finds_its_files(name, matching, others):
    pattern = re.compile(language_regex(name))
    assert [path for path in matching if not pattern.search(path)] == []
    assert [path for path in others if pattern.search(path)] == []


@pytest.mark.parametrize("name", ["pyton", "text", "binary", ""])
def test_another_language_is_refused(name):
    with pytest.raises(UsageError, match=f"No language has the name '{name}'"):
        language_regex(name)
    with pytest.raises(UsageError, match="Did you mean: python"):
        language_regex("pyton")


@pytest.fixture
def crowded(workspace, notes):
    """Ten chunks that a filter leaves, among many that are nearer to the question."""
    (notes / "many.txt").write_text(
        "\n\n".join(["zebra zebra zebra"] * 5) + "\n\n" + paragraphs(90)
    )
    (notes / "it's few").mkdir()
    for number in range(10):
        (notes / "it's few" / f"{number}.md").write_text(f"zebra and other things {number} " * 3)
    old = time.time() - 10 * 24 * 3600
    os.utime(notes / "many.txt", (old, old))
    workspace.index()
    return workspace


@pytest.mark.parametrize("mode", ["vector", "text", "hybrid"])
@pytest.mark.parametrize(
    "looked_at",
    [
        Filter(paths=("*.md",)),
        Filter(languages=("markdown", "python")),
        Filter(paths=("it's few/",), languages=("md",)),
        Filter(paths=("it's few/", "nowhere/*")),
        Filter(since_ns=int((time.time() - 24 * 3600) * 1e9)),
        Filter(where="path LIKE '%few%' AND tokens > 3"),
        Filter(paths=("*.md",), since_ns=1, where="ord = 0"),
    ],
)
def test_all_that_a_filter_leaves_is_found(crowded, mode, looked_at):
    for _ in range(2):  # from disk, and with the vectors in memory
        hits = crowded.query("zebra", mode=mode, top_k=10, filter=looked_at)
        assert len(hits) == 10
        assert all("it's few" in hit.path for hit in hits)


def test_the_names_of_a_root_and_above_it_count(crowded, notes):
    for glob in ("notes/", "notes/*/*.md", f"{notes}/", str(notes / "it's few" / "*")):
        hits = crowded.query("zebra", filter=Filter(paths=(glob,)))
        assert len(hits) == 10, glob
    assert crowded.query("zebra", filter=Filter(paths=("/notes/",))) == []


def test_a_root_that_is_a_file_has_its_own_path(workspace, notes):
    (notes / "a.md").write_text("zebra")
    workspace.index([notes / "a.md"])
    assert len(workspace.query("zebra", filter=Filter(paths=("notes/*.md",)))) == 1
    assert workspace.query("zebra", filter=Filter(paths=("*.txt",))) == []


def test_a_filter_that_leaves_nothing_finds_nothing(crowded):
    for mode in ("vector", "text", "hybrid"):
        assert crowded.query("zebra", mode=mode, filter=Filter(paths=("*.rst",))) == []


@pytest.mark.parametrize(
    "where", ["tokens >", "nonsense = 1", "1; DROP TABLE x", "", "CAST(path AS int) = 1"]
)
def test_a_condition_that_is_not_understood_is_refused(crowded, where):
    with pytest.raises(UsageError, match="The filter is not understood: ") as caught:
        crowded.query("zebra", filter=Filter(where=where))
    assert ".rs:" not in str(caught.value)


def test_vectors_are_not_kept_for_a_question_with_a_filter(crowded, monkeypatch):
    from localembed.store.lance import read_rows

    monkeypatch.setattr(read_rows, "NearestInMemory", None)
    for _ in range(3):
        assert crowded.query("zebra", mode="vector", filter=Filter(paths=("*.md",)))


@pytest.mark.parametrize(
    ("since", "found"),
    sampled([("1h", 1), ("2w", 1), ("2000-01-01", 1), ("2999-01-01", 0)], 3),
)
def test_a_moment_is_so_long_ago_or_a_date(run_cli, tmp_path, since, found):
    (tmp_path / "a.md").write_text("zebra")
    run_cli("init")
    run_cli("index", ".")
    assert run_cli("query", "zebra", "-l", "--since", since).stdout.count("\n") == found


def test_the_command_takes_languages(run_cli, tmp_path):
    (tmp_path / "a.md").write_text("zebra")
    (tmp_path / "b.py").write_text("zebra = 1")
    (tmp_path / "c.rst").write_text("zebra")
    run_cli("init")
    run_cli("index", ".")
    done = run_cli("query", "zebra", "-l", "--lang", "python", "--lang", "rst")
    assert sorted(line.rpartition("/")[2] for line in done.stdout.split()) == ["b.py", "c.rst"]
    done = run_cli("query", "zebra", "--lang", "klingon")
    assert done.returncode == 2
    assert "No language has the name 'klingon'" in done.stderr


@pytest.mark.parametrize("since", ["yesterday", "3y", "9999999d", "2026-13-01"])
def test_another_moment_is_refused(run_cli, since):
    done = run_cli("query", "zebra", "--since", since)
    assert done.returncode == 2
    assert "is neither a duration (12h, 7d, 2w) nor a date" in done.stderr
