"""Errors and notices on a terminal: wrapped between words, commands and paths in one piece."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localembed.cli.render.wrapping import wrapped_text


@pytest.mark.parametrize(
    "whole",
    [
        "localembed index FOLDER",
        "localembed index --json",
        "localembed models pull bge-small-en-v1.5 --allow-network",
        "localembed models bundle create NAME -o FILE",
        "localembed roots move 0123abcd NEW",
        "localembed index '/home/me/my notes'",
        "localembed index $'/home/me/a\\xff b'",
        'localembed query "some words"',
        "localembed versions restore 12",
        "localembed rm /home/me/notes/a.md",
        "localembed index --retry-failed",
    ],
)
def test_a_command_stays_in_one_piece_at_any_width(whole):
    text = f"Something is wrong here, as it may be. Run: {whole} (then look at it), or: {whole}."

    for columns in range(20, 90):
        shown = wrapped_text(text, columns)
        assert shown.count(whole) == 2, (columns, shown)
        assert shown.replace("\n", " ") == text


def test_a_sentence_about_localembed_is_wrapped_like_any_other():
    text = "Model 'x' would be downloaded, and localembed goes online only with your permission."

    assert max(map(len, wrapped_text(text, 40).splitlines())) <= 40


def test_a_path_with_spaces_that_exists_stays_in_one_piece(tmp_path):
    folder = tmp_path / "my own notes"
    folder.mkdir()
    text = f"This is about {folder} and {folder}/a.md, which is not there. And {folder}."

    for columns in range(20, 90, 7):
        assert wrapped_text(text, columns).count(str(folder)) == 3


@given(st.text(st.sampled_from("ab '\"/-.,localembed"), max_size=80), st.integers(40, 120))
def test_nothing_is_lost_but_spaces(text, columns):
    assert "".join(wrapped_text(text, columns).split()) == "".join(text.split())


def test_errors_and_notices_are_wrapped_on_a_terminal_only(indexed, cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    commands = (("models", "use", "nothing-like-it"), ("show", "/no/such/place"), ("quer",))
    piped = [cli(*command).err for command in commands]
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    shown = [cli(*command).err for command in commands]

    for before, after in zip(piped, shown, strict=True):
        assert "".join(after.split()) == "".join(before.split())
    assert [before.splitlines()[-1].startswith("Error: ") for before in piped] == [True] * 3
    assert all(len(line) <= 50 for text in shown for line in text.splitlines())
    assert "localembed models list" in shown[0]


def test_an_interrupt_names_the_command_in_one_piece():
    text = "Interrupted. 12 of 40 chunks embedded by this run are kept; run the same command again."

    assert wrapped_text(text, 40).splitlines()[0] == "Interrupted. 12 of 40 chunks embedded by"
