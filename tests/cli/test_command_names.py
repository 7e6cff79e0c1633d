"""Names of commands and models: other names, lists by default, and suggestions."""

from __future__ import annotations

import json

import pytest

from localembed.core.text import nearest_name
from localembed.models import load_specs


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("serch", "search"), ("seach", "search"), ("qurey", "query"), ("idnex", "index"),
        ("stats", "status"), ("modles", "models"), ("version", "versions"),
    ],
)  # fmt: skip
def test_a_mistyped_command_gets_the_closest_one(cli, typed, meant):
    found = cli(typed, "words")

    assert (found.code, found.out) == (2, "")
    assert f"No such command '{typed}'. Did you mean '{meant}'?" in found.err


def test_a_mistyped_command_of_a_group_gets_the_closest_one(cli):
    assert "Did you mean 'list'?" in cli("models", "lst").err
    assert "Did you mean 'restore'?" in cli("versions", "restor", "1").err
    assert "Did you mean 'install'?" in cli("models", "bundle", "instal", "x").err


def test_a_word_that_is_like_no_command_gets_no_suggestion(cli):
    assert "Did you mean" not in cli("xyzzy").err


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("bge-smal", "bge-small-en-v1.5"), ("bge-small", "bge-small-en-v1.5"), ("bge", "bge-m3"),
        ("minilm", "all-MiniLM-L6-v2"), ("mpnet", "all-mpnet-base-v2"), ("e5-smal", "e5-small-v2"),
        ("qwen3", "Qwen3-Embedding-0.6B"), ("zzz", None),
    ],
)  # fmt: skip
def test_a_mistyped_model_gets_the_closest_one(typed, meant):
    assert nearest_name(typed, load_specs(), cutoff=0.5) == meant


def test_the_message_about_a_model_names_the_closest_one(indexed, cli):
    found = cli("models", "use", "bge-smal")

    assert (found.code, found.out) == (4, "")
    assert "Did you mean bge-small-en-v1.5?" in found.err


@pytest.mark.parametrize("group", ["models", "versions", "roots"])
def test_a_group_alone_lists(indexed, cli, group):
    assert cli(group).parts == cli(group, "list").parts
    assert json.loads(cli(group, "--json").out) == json.loads(cli(group, "list", "--json").out)
    assert cli(group, "-h").out.startswith("Usage: ")


def test_search_is_another_name_of_query(indexed, cli):
    assert cli("search", "rotating keys", "-l").parts == cli("query", "rotating keys", "-l").parts
    assert "search" in cli("-h").out
