"""Ignore files that came with a folder: none makes the walk slow."""

from __future__ import annotations

import pytest

from localembed.sources import glob_rules
from localembed.sources.ignore_file import rule_path
from tests.test_walk import grow, names, reasons

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
    "**\\/ x30": "**\\/" * 30 + "y",
    "**/ x200": "**/" * 200 + "y",
    "**/*/** x20": "**/*/" * 20 + "**",
    "**/a*b*/ x20": "**/a*b*/" * 20 + "y",
    "*[[:alpha:]] x60": "*[[:alpha:]]" * 60 + "1",
    "*[[] x2000": "*[[]" * 2000,
    "[[: x2000": "[[:" * 2000 + "c]",
    "negated": "!" + "*a" * 60 + "b",
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("line", SLOW.values(), ids=SLOW.keys())
def test_no_line_is_slow_with_any_name(tmp_path, line):
    deep = "/".join(["x"] * 60)
    grow(tmp_path, {".gitignore": f"{line}\n", f"{'a' * 200}.md": "x", f"a/{deep}/z.md": "x",
                    f"{'/'.join(['aaaa'] * 40)}/z.md": "x"})  # fmt: skip

    assert f"a/{deep}/z.md" in names(tmp_path) or "*" in line
    rules = glob_rules([line.removeprefix("!")])
    for path in (b"a" * 5000, b"x/" * 1999 + b"x", b"a/" * 2000 + b"b", b"xa" * 2000):
        for is_folder in (False, True):
            rules.verdict(rule_path(path, is_folder=is_folder))


@pytest.mark.timeout(20)
def test_a_glob_of_an_option_is_not_slow_either(tmp_path):
    grow(tmp_path, {f"{'a' * 200}.md": "x"})

    assert names(tmp_path, include=("*a" * 60 + "b",)) == []
    assert names(tmp_path, exclude=("*a" * 60 + "b",)) == [f"{'a' * 200}.md"]


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
