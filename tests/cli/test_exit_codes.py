"""Exit codes of wrong arguments, unusable models and bugs."""

from __future__ import annotations

import pytest

from localembed.cli.main import COMMANDS


def test_an_unknown_model_exits_with_4_and_the_nearest_name(cli, notes):
    (notes / "a.md").write_text("Some words.")

    result = cli("index", ".", "--model", "fakr")

    assert result.parts == (
        4,
        "",
        "Error: Model 'fakr' is not in models.toml. Did you mean fake? "
        "Run: localembed models list\n",
    )


@pytest.mark.parametrize("arguments", [("models", "list"), ("index", ".")])
def test_a_broken_registry_exits_with_4_and_names_the_file(cli, own_home, arguments):
    registry = own_home / "config" / "localembed" / "models.toml"
    registry.write_text("[models.x\n")

    result = cli(*arguments)

    assert (result.code, result.out) == (4, "")
    assert result.err.startswith(f"Error: {registry} cannot be read: ")


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (("index", ".", "--chunk-tokens", "many"), {}),
        (("index", "."), {"LOCALEMBED_CHUNK_TOKENS": "many"}),
        (("query", "keys"), {"LOCALEMBED_MODE": "best"}),
        (("query", "keys", "-k", "0"), {}),
        (("show", "two", "words"), {}),
        (("index", "--colour"), {}),
        (("index", ".", "--overlap", "900"), {}),
    ],
)
def test_a_wrong_argument_exits_with_2(indexed, cli, monkeypatch, arguments, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    result = cli(*arguments)

    assert (result.code, result.out) == (2, "")
    assert "Traceback" not in result.err


def test_a_bug_exits_with_70_and_a_traceback(indexed, cli, monkeypatch):
    monkeypatch.setitem(COMMANDS["Look after"], "status", ("localembed.cli.main:_HELP", ""))

    result = cli("status")

    assert (result.code, result.out) == (70, "")
    assert "Traceback" in result.err
    assert result.err.endswith("this is a bug in localembed; please report the lines above.\n")
