"""`localembed roots`: list the roots, and say where one has moved."""

from __future__ import annotations

import json
import os
import re

import pytest
from click.testing import CliRunner


@pytest.fixture
def outside(indexed, cli, tmp_path):
    """A second root outside of the workspace's folder."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "wine.md").write_text("Wine is stored lying down.")
    assert cli("index", folder).code == 0
    return folder


def listed(text: str) -> list[str]:
    return re.sub(r"\b[0-9a-f]{16}\b", "ID", text).splitlines()


@pytest.mark.parametrize("words", [("roots",), ("roots", "list")])
def test_roots_are_listed_with_their_files(outside, cli, words):
    result = cli(*words)

    assert (result.code, result.err) == (0, "")
    assert listed(result.out) == [
        "ID                 FILES PATH",
        "ID       2 NOTES",
        f"ID       1 {outside}",
    ]


def test_roots_alone_take_the_options_of_the_list(outside, cli):
    alone, full = (json.loads(cli("roots", *words, "--json").out) for words in ((), ("list",)))

    assert alone == full
    assert [(root["path"], root["files"], root["missing"]) for root in alone["roots"]] == [
        ("NOTES", 2, False),
        (str(outside), 1, False),
    ]
    assert alone["unknown_roots"] == []


def test_without_a_root_the_next_step_is_named(cli):
    cli("init")

    assert cli("roots").parts == (0, "", "There is no root yet. Run: localembed index FOLDER\n")
    assert cli("roots", "-q").parts == (0, "", "")


def test_without_a_workspace_the_exit_code_is_5(cli):
    result = cli("roots")

    assert (result.code, result.out) == (5, "")
    assert "There is no workspace" in result.err


def test_a_moved_root_is_listed_as_missing_and_moved(outside, cli):
    moved = outside.rename(outside.parent / "moved")

    assert cli("roots").out.endswith(
        f"{outside} (missing; if it has moved: localembed roots move ID NEW)\n"
    )
    refused = cli("index")
    assert refused.code == 5
    assert f"localembed roots move {outside} NEW" in " ".join(refused.out.split())
    result = cli("roots", "move", outside, moved)
    assert result.parts == (
        0,
        f"Moved {outside} to {moved}\n",
        "Of 1 file looked at, 1 are there as indexed.\n",
    )
    assert cli("roots", "move", moved, moved, "-q").err == ""
    assert cli("index").out.startswith("Nothing changed")
    assert cli("query", "wine", "--format", "paths").out.startswith(f"{moved / 'wine.md'}\n")


def test_a_move_is_one_object(outside, cli):
    moved = outside.rename(outside.parent / "moved")

    form = json.loads(cli("roots", "move", outside, moved, "--json").out)

    assert form.pop("root_id")
    assert form == {"old": str(outside), "new": str(moved), "looked_at": 1, "found": 1}


def test_a_root_that_is_not_in_config_toml_is_listed_and_removed(outside, cli, notes):
    config = notes / ".localembed" / "config.toml"
    text = config.read_text()
    config.write_text(text[: text.rindex("[[roots]]")])
    root_id = text.rpartition('id = "')[2][:16]

    assert listed(cli("roots").out)[-1] == (
        "ID       1 …/wine.md (not in config.toml; run: localembed index FOLDER, or rm ID)"
    )
    assert f"Unknown   {root_id}, 1 file, not in config.toml" in cli("status").out
    assert f"localembed rm {root_id}" in cli("index").err
    assert cli("rm", root_id).out == f"Removed {root_id} from the index: 1 file, 1 chunk\n"
    assert len(listed(cli("roots").out)) == 2


def test_what_is_refused_exits_with_2(outside, cli):
    result = cli("roots", "move", outside, outside / "nowhere")

    assert (result.code, result.out) == (2, "")
    assert "does not exist" in result.err


def test_roots_are_completed_in_the_shell(outside, cli, monkeypatch):
    from localembed.cli.main import cli as group

    words = {"COMP_WORDS": "localembed roots move ", "COMP_CWORD": "3"}
    result = CliRunner().invoke(
        group, env={**os.environ, **words, "_LOCALEMBED_COMPLETE": "bash_complete"},
        prog_name="localembed",
    )  # fmt: skip

    assert f"plain,{outside}" in result.output.splitlines()
