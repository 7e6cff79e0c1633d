"""Ignore files that came with a folder: none makes the walk slow, and each means what git means."""

from __future__ import annotations

import random
import shutil
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from localembed.sources import ignore
from localembed.sources.linear_patterns import LinearPattern
from tests.test_walk import git, git_names, grow, names, reasons

SLOW = {
    "**a x16 + b": "**a" * 16 + "b",
    "*a x60": "*a" * 60,
    "*a x60 + b": "*a" * 60 + "b",
    "?* x80": "?*" * 80 + "b",
    "*? x80": "*?" * 80 + "b",
    "**/x/ x15": "**/x/" * 15 + "y",
    "**/x/ x15, a folder": "**/x/" * 15,
    "**/x x15 anchored": "/a/" + "**/x/" * 15 + "y",
    "**/* x30": "**/*/" * 30 + "y",
    "**/*a x20": "**/*a/" * 20 + "y",
    "*[ab] x60": "*[ab]" * 60 + "c",
    "*[!c] x60": "*[!c]" * 60 + "c",
    "stars x5000": "*" * 5000 + "b",
    "*/ x50": "*/" * 50 + "y",
    "*a*/ x20": "*a*/" * 20 + "y",
    "negated": "!" + "*a" * 60 + "b",
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("line", SLOW.values(), ids=SLOW.keys())
def test_no_line_is_slow_with_any_name(tmp_path, line):
    deep = "/".join(["x"] * 60)
    grow(tmp_path, {".gitignore": f"{line}\n", f"{'a' * 200}.md": "x", f"a/{deep}/z.md": "x",
                    f"{'/'.join(['aaaa'] * 40)}/z.md": "x"})  # fmt: skip

    assert f"a/{deep}/z.md" in names(tmp_path) or "*" in line
    rules = ignore.glob_rules([line.removeprefix("!")])
    for path in ("a" * 5000, "x/" * 2000, "a/" * 2000 + "b", "xa" * 2000 + "/"):
        rules.verdict(path)


@pytest.mark.timeout(20)
def test_a_glob_of_an_option_is_not_slow_either(tmp_path):
    grow(tmp_path, {f"{'a' * 200}.md": "x"})

    assert names(tmp_path, include=("*a" * 60 + "b",)) == []
    assert names(tmp_path, exclude=("*a" * 60 + "b",)) == [f"{'a' * 200}.md"]


PART = st.sampled_from(["*", "**", "?", "a", "b", "ab", "/", "**/", "/**", "[ab]", "\\*", "[]a]"])
PATH = st.lists(st.text("ab*", min_size=1, max_size=3), min_size=1, max_size=5).map("/".join)


@given(st.lists(PART, min_size=1, max_size=8).map("".join), PATH, st.booleans())
def test_a_line_matches_what_pathspec_matches(line, path, is_folder):
    """Brackets that exclude are left out: pathspec lets them match a slash, git does not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            slow, fast = GitIgnoreSpecPattern(line), LinearPattern(line)
    except ValueError:
        return
    assert (slow.regex is None, slow.include) == (fast.regex is None, fast.include)
    if slow.regex is not None and fast.regex is not None:
        name = f"{path}/" if is_folder else path
        assert ignore._matches_path(fast.regex, name) == ignore._matches_path(slow.regex, name)


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_random_lines_ignore_what_git_ignores(tmp_path):
    """Git 2.39 takes `a**/` by chance for `a*/` or for `**/`: such lines are left out."""
    choice = random.Random(3)
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    for _ in range(60):
        parts = ["".join(choice.choices("ab", k=choice.randint(1, 3))) for _ in range(3)]
        above = parts[: choice.randint(0, 3)]
        grow(folder, ["/".join((*above, f"{choice.choice('abc')}.md"))])
    pieces = ["*", "?", "a", "b", "ab", "/", "/", "/**/", "/***/", "[ab]", "[!a]", "*.md"]
    for _ in range(150):
        lines = ["".join(choice.choices(pieces, k=choice.randint(1, 8))) for _ in range(2)]
        (folder / ".gitignore").write_text("\n".join(lines))
        if "**" not in "".join(line.replace("/**/", "").replace("/***/", "") for line in lines):
            assert sorted(names(folder)) == git_names(folder), lines


@pytest.mark.timeout(20)
@pytest.mark.parametrize("content", ["x\n" * 5_000, "#" * (300 << 10), "y" * (300 << 10)])
def test_a_rules_file_beyond_any_size_takes_nothing_and_says_so(tmp_path, content):
    grow(tmp_path, {"a/.gitignore": content, "a/secret.md": "x", "b.md": "x"})

    assert names(tmp_path) == ["b.md"]
    assert reasons(tmp_path)["a/secret.md"] == "ignored (.gitignore has more than 4,000 lines)"


def test_comments_and_empty_lines_count_as_none(tmp_path):
    grow(tmp_path, {".gitignore": "# why\n\n" * 5_000 + "a.md\n", "a.md": "x", "b.md": "x"})

    assert names(tmp_path) == ["b.md"]


@pytest.mark.timeout(20)
def test_only_the_start_of_a_tag_is_read(tmp_path):
    (tmp_path / "sub").mkdir()
    with (tmp_path / "sub" / "CACHEDIR.TAG").open("wb") as file:
        file.write(b"Signature: 8a477f597d28d172789f06886806bc55")
        file.truncate(20 << 30)
    grow(tmp_path, ["sub/a.md", "b.md"])

    assert names(tmp_path) == ["b.md"]
