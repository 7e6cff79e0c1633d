"""Odd values of every option: a documented exit code, one clear sentence, and no traceback."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from localembed.cli.main import COMMANDS, cli

SURROGATE = "\udcff"
LONG = "x" * 5000
TEXTS = ("", " ", "-", "--", SURROGATE, "a\nb", "\x1b[31m", "%s", "a'b\"c", LONG, "../..", "/", "~")
NUMBERS = (
    "0",
    "-1",
    "99999999999999999999",
    "1e30",
    "1.5",
    "nan",
    "inf",
    "-inf",
    "",
    "x",
    "\uff10",
)
WORKSPACES = (
    "a?b", "a\\b", "a#b", "a%20b", "a b", "a\nb", "a\x1b[31mb", "a'b", 'a"b', "a;b", "a&b", "a*b",
    "[a]", "{a}", "a:b", "ünï", "北京", "-", ".", f"a{SURROGATE}b", "x" * 200, "x/" * 60,
)  # fmt: skip
IMPOSSIBLE = ("x" * 300, "x/" * 3000, "", "/dev/null", "/dev/null/x", "/proc/x")


def odd(done, *codes: int) -> None:
    """Assert that a command refused something in one sentence, or took it."""
    assert done.code in (codes or (0, 1, 2, 3, 4, 5)), done
    assert "Traceback" not in done.err
    assert "bug in localembed" not in done.err
    if done.code > 1 and done.err:
        errors = [line for line in done.err.splitlines() if line.startswith("Error: ")]
        assert len(errors) <= 1, done
        assert "\x1b[31m" not in done.err


def options_of(command: click.Command) -> list[click.Option]:
    return [
        parameter
        for parameter in command.params
        if isinstance(parameter, click.Option)
        and not parameter.is_flag
        and not isinstance(parameter.type, click.Choice)
    ]


def leaves(group: click.Group, *above: str) -> list[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found += leaves(command, *above, name)
        else:
            found.append(((*above, name), command))
    return found


# `bench` and `serve` do work that takes long.
SLOW = ("bench", "serve")
CASES = [
    pytest.param(name, command, option, id=f"{' '.join(name)} {option.opts[-1]}")
    for name, command in leaves(cli)
    for option in options_of(command)
    if name[0] not in SLOW and option.opts[-1] != "--workspace"
]
ARGUMENTS = {
    "index": (".",), "query": ("keys", "--no-resident"), "show": ("keys.md",), "rm": ("garden",),
    "use": ("fake",), "pull": ("fake",), "add": (".",), "create": ("fake",), "install": ("x",),
    "diff": ("1", "1"), "tag": ("1",), "restore": ("1",), "eval": ("questions.tsv",),
}  # fmt: skip


@pytest.mark.parametrize(("name", "command", "option"), CASES)
def test_an_odd_value_of_an_option(indexed, cli, name, command, option):
    numeric = option.metavar in ("N", "X", "USD", "SIZE") or not isinstance(
        option.type, click.types.StringParamType | click.Path
    )
    for value in (*NUMBERS, "a\tb") if numeric else (*NUMBERS[:4], *TEXTS):
        if name[-1] == "create" and option.name == "output" and value not in ("", "/", LONG):
            continue  # it writes the file
        arguments = [*name, *ARGUMENTS.get(name[-1], ()), option.opts[-1], value]
        if "query" in name and option.name == "like":
            arguments.remove("keys")
        odd(cli(*arguments))


@pytest.mark.parametrize(
    "command",
    [("query",), ("show",), ("rm",), ("index",), ("versions", "restore"), ("versions", "tag", "x"),
     ("versions", "diff", "1"), ("models", "use"), ("models", "rm"), ("models", "pull"),
     ("models", "verify"), ("models", "add"), ("models", "bundle", "verify"),
     ("models", "bundle", "install"), ("eval",)],
    ids=" ".join,
)  # fmt: skip
def test_an_odd_argument(indexed, cli, command):
    for text in TEXTS:
        if command == ("query",) and text == "-":
            continue  # reads stdin
        if command == ("index",) and text in ("/", "~", "../.."):
            continue
        if command == ("rm",) and text in ("../..", "/"):
            continue
        extra = ("--no-resident",) if command == ("query",) else ()
        odd(cli(*command, *extra, "--", text))


@pytest.mark.parametrize(
    "command",
    ["index", "index --dry-run", "rm", "show", "roots move .", "trust", "trust --forget", "eval",
     "models add", "models bundle install", "bench", "query --like"],
)  # fmt: skip
def test_an_empty_path_is_not_the_current_folder(indexed, cli, command):
    odd(cli(*command.split(), ""), 2)
    odd(cli("roots", "move", "", "."), 2)
    assert cli("index").out.startswith("Nothing changed")
    assert not (indexed / "config.toml").exists()


@pytest.mark.parametrize(
    "options",
    ["--device cuda:" + "9" * 5000, "--lengths 999999999", "--lengths 999999999 --batch-tokens 9",
     "--threads 999999999", "--batch-tokens 999999999"],
    ids=lambda text: text[:30],
)  # fmt: skip
def test_a_benchmark_of_odd_values_is_refused(indexed, cli, options):
    done = cli("bench", "--synthetic", "--quick", *options.split())
    odd(done, 2)


@pytest.mark.parametrize("name", WORKSPACES)
def test_a_workspace_of_any_name_works(cli, notes, tmp_path, name):
    (notes / "keys.md").write_text("Rotating api keys every month.\n")
    folder = f"{tmp_path}/spaces/{name}"

    first = cli("index", ".", "--workspace", folder)
    again = cli("index", "--workspace", folder)
    found = cli("query", "rotating", "--workspace", folder, "--no-resident")
    checked = cli("doctor", "--workspace", folder)

    if not set(name) & set("?\\\n\x1b" + SURROGATE):
        assert first.code == 0, first
        assert (again.code, found.code, checked.code) == (0, 0, 0), (again, found, checked)
        assert again.out.startswith("Nothing changed")
        assert Path(folder, "manifest.duckdb").is_file()
    else:
        for done in (first, again, found, checked):
            odd(done, 2)
            assert "cannot be a workspace" in done.err


def test_workspaces_whose_names_differ_in_a_separator_are_two(cli, notes, tmp_path):
    (notes / "keys.md").write_text("Rotating api keys every month.\n")
    for name in ("a/b", "a\\b"):
        (tmp_path / "spaces" / name).parent.mkdir(parents=True, exist_ok=True)
        done = cli("index", ".", "--workspace", tmp_path / "spaces" / name)
        assert (done.code, "1 file added" in done.out) == (
            (2, False) if "\\" in name else (0, True)
        )


@pytest.mark.parametrize("name", IMPOSSIBLE)
@pytest.mark.parametrize("command", ["index .", "status", "query x", "doctor", "init", "rm ."])
def test_a_workspace_that_cannot_be_is_refused(cli, notes, name, command):
    done = cli(*command.split(), "--workspace", name)
    odd(done, 2, 5)
    assert "Fix that line" not in done.err
    assert "--repair" not in done.err
    assert "Free some space" not in done.err


@pytest.mark.parametrize(
    "since", ["9999-12-31", "0001-01-01", "1677-01-01", "2262-12-31", "999999w", "2026-02-30", ""]
)
def test_a_date_that_cannot_be_stored_is_refused(indexed, cli, since):
    odd(cli("query", "keys", "--since", since, "--no-resident"), 2)


@pytest.mark.parametrize("score", ["nan", "inf", "-inf", "1e999"])
def test_a_score_that_is_no_number_is_refused(indexed, cli, score):
    done = cli("query", "keys", "--min-score", score, "--no-resident")
    odd(done, 2)
    assert "not a finite number" in done.err


@pytest.mark.parametrize(
    "where",
    ["repeat('a',2000000000)=path", "lpad(path,2000000000,'x')='x'", "_rowid > 1", "vector IS NULL",
     "array_length(range(1,100000000))=tokens", "nope = 1", "tokens >", "tokens = 'x'", "1", "'x'",
     "tokens > 1; drop table x", "tokens > 1) OR (true", "((((", "\x00", SURROGATE, "", " ",
     "tokens in (select 1)", "1/0 = tokens", "path like '%' escape 'ab'", "random() > 2",
     "regexp_like(path, '((')", "regexp_like(path, '(((a{1,99}){1,99}){1,99}){1,99}')",
     "NOT " * 900 + "true", "(" * 49 + "true" + ")" * 49 + " = 1", "CAST(path AS int) = 1"],
)  # fmt: skip
def test_a_filter_that_cannot_work_is_refused_at_once(indexed, cli, where):
    done = cli("query", "keys", "--where", where, "--no-resident")
    odd(done, 2) if "NOT" not in where else odd(done)
    assert "SELECT" not in done.err.replace("(SELECT 1)", "")
    assert "_rowaddr" not in done.err
    assert ".rs" not in done.err


def test_every_command_was_seen():
    assert {name[0] for name, _ in leaves(cli)} == {
        name for commands in COMMANDS.values() for name in commands
    }


def test_a_very_long_value_is_not_repeated_in_full(indexed, cli):
    word, words = "x" * 5_000, "many words " * 500
    for arguments in (
        ("query", word, "--mode", "text"),
        ("query", words, "--mode", "text", "--path", "nowhere.md"),
        ("query", "keys", "--model", word),
        ("query", "keys", "--lang", word),
        ("query", "keys", "--since", words),
        ("index", "--overlap", words),
        ("show", word),
        ("models", "use", words),
        (word,),
    ):
        found = cli(*arguments)
        assert found.code in (1, 2, 4, 5)
        assert 0 < len(found.err) < 1_500, arguments[:2]
        assert "…" in found.err, arguments[:2]
