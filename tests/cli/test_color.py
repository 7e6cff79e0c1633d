"""Colours: on a terminal that wants them, or as --color and LOCALEMBED_COLOR say."""

from __future__ import annotations

import pytest

from localembed.cli.render.output import overwrite_line, progress_bar


def be_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "TERM", "VTE_VERSION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)


CASES: list[tuple[dict[str, str], list[str], bool]] = [
    ({}, [], True),
    ({"NO_COLOR": "1"}, [], False),
    ({"NO_COLOR": ""}, [], True),
    ({"TERM": "dumb"}, [], False),
    ({"TERM": "xterm"}, [], True),
    ({}, ["--color", "never"], False),
    ({"NO_COLOR": "1"}, ["--color", "always"], True),
    ({"NO_COLOR": "1"}, ["--color", "auto"], False),
    ({"LOCALEMBED_COLOR": "never"}, [], False),
    ({"LOCALEMBED_COLOR": "never"}, ["--color", "auto"], True),
    ({"LOCALEMBED_COLOR": "always", "TERM": "dumb"}, [], True),
]
"""Variables, options, whether a terminal then gets colours."""


def test_a_terminal_gets_colours_unless_it_wants_none(indexed, cli, monkeypatch):
    be_a_terminal(monkeypatch)
    for variables, options, is_coloured in CASES:
        with monkeypatch.context() as patched:
            for name, value in {"VTE_VERSION": "7000", **variables}.items():
                patched.setenv(name, value)
            found = cli("query", "rotating keys", "-k", "1", "--mode", "text", *options)

        assert ("\x1b[" in found.out) is is_coloured, (variables, options)
        assert is_coloured or "\x1b" not in found.out, (variables, options)


def test_a_pipe_gets_colours_on_request_only(indexed, cli, monkeypatch):
    assert "\x1b" not in cli("status").out
    assert "\x1b[1m" in cli("status", "--color", "always").out
    monkeypatch.setenv("LOCALEMBED_COLOR", "always")
    assert "\x1b[1m" in cli("roots").out
    assert "\x1b" not in cli("status", "--json").out
    assert "\x1b" not in cli("query", "keys", "-l").out


def test_an_unknown_value_of_the_variable_is_refused(indexed, cli, monkeypatch):
    monkeypatch.setenv("LOCALEMBED_COLOR", "on")

    found = cli("status")

    assert (found.code, found.out) == (2, "")
    assert "LOCALEMBED_COLOR is 'on', but must be one of auto, always, never." in found.err


def test_a_dumb_terminal_gets_no_bar_and_no_line_that_is_written_over(monkeypatch, capsys):
    be_a_terminal(monkeypatch)
    monkeypatch.setenv("TERM", "dumb")

    assert progress_bar(shown=True)(total=2).disable
    overwrite_line("one")
    overwrite_line("two")

    assert capsys.readouterr().out == "one\ntwo\n"
