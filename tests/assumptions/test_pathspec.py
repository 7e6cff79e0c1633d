"""The group that pathspec leaves in its expressions: `localembed/sources/ignore.py`."""

from __future__ import annotations

import pytest
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from localembed.sources import ignore


def expression(line):
    """Return the regular expression of a line that has one."""
    regex = GitIgnoreSpecPattern(line).regex
    assert regex is not None
    return regex


@pytest.mark.parametrize("line", ["build", "build/", "/build", "a/build/", "*.egg-info/", "**/x"])
def test_a_group_marks_the_slash_behind_a_folder(line):
    assert GitIgnoreSpecPattern(line).include is True
    assert ignore._FOLDER_MARK in expression(line).groupindex


def test_the_group_ends_behind_the_slash_and_is_empty_for_a_file():
    pattern = expression("build")
    for path, end in (("build/", 6), ("build/inner.md", 6), ("a/build/", 8), ("build", -1)):
        match = pattern.search(path)
        assert match is not None
        assert match.end(ignore._FOLDER_MARK) == end
    assert pattern.search("rebuild") is None


@pytest.mark.parametrize("line", ["folder/**", "/a/**"])
def test_a_line_for_what_lies_below_has_no_such_group(line):
    assert ignore._FOLDER_MARK not in expression(line).groupindex


def test_the_group_can_be_replaced_in_the_text_of_an_expression():
    text = expression("build/").pattern
    assert f"(?P<{ignore._FOLDER_MARK}>" in text


def test_lines_that_say_nothing_have_no_expression():
    for line in ("", "# comment"):
        pattern = GitIgnoreSpecPattern(line)
        assert pattern.include is None
        assert pattern.regex is None
    assert GitIgnoreSpecPattern("!kept.md").include is False
    with pytest.raises(ValueError, match="!"):
        GitIgnoreSpecPattern("!")
