"""What holds for every command: help, --json, --quiet and --version."""

from __future__ import annotations

import json
import re

import click
import pytest

from localembed.cli.main import COMMANDS
from localembed.cli.main import cli as group
from tests.cli.conftest import columns
from tests.static_model import write_static

SUBCOMMANDS = {
    "models": [
        "add", "bundle create", "bundle install", "bundle verify", "list", "pull", "rm", "use",
        "verify",
    ],
    "roots": ["list", "move"],
    "versions": ["diff", "gc", "list", "restore", "tag"],
}  # fmt: skip


LEAVES = [
    (name, sub)
    for commands in COMMANDS.values()
    for name in commands
    for sub in SUBCOMMANDS.get(name, [""])
]


def test_version_is_one_line(cli):
    import localembed

    assert cli("--version").parts == (0, f"localembed {localembed.__version__}\n", "")


def test_help_names_every_command(cli):
    shown = cli("-h")

    assert (shown.code, shown.err) == (0, "")
    for heading, commands in COMMANDS.items():
        assert f"\n{heading}:\n" in shown.out
        for name in commands:
            assert re.search(rf"(?m)^  {name} ", shown.out), name


@pytest.mark.parametrize(("name", "sub"), LEAVES)
def test_every_command_has_help_json_and_quiet(cli, name, sub):
    shown = cli(name, *sub.split(), "-h")

    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith(f"Usage: localembed {f'{name} {sub}'.strip()} [OPTIONS]")
    for option in ("--json", "-q, --quiet", "--workspace DIR"):
        assert option in shown.out
    assert max(map(columns, shown.out.splitlines())) <= 80


def test_every_group_is_known_to_these_tests():
    context = click.Context(group)
    commands = {name: group.get_command(context, name) for name in group.list_commands(context)}
    found = {n: sorted(leaves(c)) for n, c in commands.items() if isinstance(c, click.Group)}

    assert found == SUBCOMMANDS


def leaves(command: click.Group) -> list[str]:
    """Return a group's commands; those of nested groups follow the group's name."""
    return [
        f"{name} {leaf}".strip()
        for name, inner in command.commands.items()
        for leaf in (leaves(inner) if isinstance(inner, click.Group) else [""])
    ]


@pytest.mark.parametrize(("name", "sub"), LEAVES)
def test_every_command_takes_json_and_prints_one_object(indexed, cli, minilm, name, sub):
    measured = ["--model", "all-MiniLM-L6-v2", "--synthetic", "--quick", "--batch-tokens", "64"]
    (indexed / "questions.tsv").write_text("keys\tkeys.md\n")
    if name == "models":
        write_static(indexed / "tiny")
        cli("models", "add", "tiny", "--name", "gone")
        cli("models", "bundle", "create", "fake", "-o", "a.tar")
    arguments_of = {
        "query": ["keys"],
        "rm": ["garden"],
        "bench": measured,
        "serve": ["--status"],
        "show": ["keys.md"],
        "eval": ["questions.tsv"],
        "diff": ["1", "1"],
        "tag": ["good"],
        "restore": ["1"],
        "add": ["tiny"],
        "use": ["fake"],
        "pull": ["fake"],
        "models rm": ["gone"],
        "models verify": ["gone"],
        "roots move": [".", "."],
        "bundle create": ["fake", "-o", "b.tar"],
        "bundle install": ["a.tar"],
        "bundle verify": ["a.tar"],
    }
    arguments = arguments_of.get(f"{name} {sub}", arguments_of.get(sub or name, []))

    result = cli(name, *sub.split(), *arguments, "--json", "-q")

    assert (result.code, result.err) == (0, "")
    assert isinstance(json.loads(result.out), dict)


@pytest.mark.parametrize("words", [(), ("models", "bundle")])
def test_a_group_without_a_command_shows_its_help(cli, words):
    result = cli(*words)

    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"Usage: {' '.join(('localembed', *words))} [OPTIONS] COMMAND")
    assert "\nOptions:\n" in result.err


def test_an_unknown_command_exits_with_2_and_a_suggestion(cli):
    result = cli("indx")

    assert (result.code, result.out) == (2, "")
    assert "No such command 'indx'. Did you mean 'index'?" in result.err
