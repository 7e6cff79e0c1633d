"""`localembed init`, and where a workspace lies."""

from __future__ import annotations

import json


def test_init_twice_says_that_it_is_there(cli, notes):
    assert cli("init").parts == (
        0, "Created the workspace NOTES/.localembed\n", "Next: localembed index\n",
    )  # fmt: skip
    assert cli("init").parts == (0, "The workspace NOTES/.localembed already exists\n", "")
    assert json.loads(cli("init", "--json").out) == {
        "workspace": "NOTES/.localembed", "created": False,
    }  # fmt: skip
    assert (notes / ".localembed").stat().st_mode & 0o777 == 0o700


def test_init_names_the_whole_path_of_a_workspace_given_as_a_relative_one(cli):
    made = json.loads(cli("init", "--workspace", "ws", "--json").out)

    assert made == {"workspace": "NOTES/ws", "created": True}


def test_a_workspace_named_with_a_tilde_lies_in_the_home(cli, own_home, notes):
    cli("init", "--workspace=~/ws")

    assert (own_home / "ws" / "config.toml").is_file()
    assert not (notes / "~").exists()
