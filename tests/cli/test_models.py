"""`localembed models list`."""

from __future__ import annotations

import json

import click

from tests.cli.conftest import columns


def test_models_list_shows_what_is_here(cli, own_home):
    registry = own_home / "config" / "localembed" / "models.toml"
    absent = registry.read_text().split("[models.other]")[0].replace("models.fake", "models.absent")
    registry.write_text(registry.read_text() + absent.replace("fake-model", "nowhere"))

    shown = cli("models", "list")
    rows = json.loads(cli("models", "list", "--json").out)["models"]

    lines = shown.out.splitlines()
    assert lines[0] == "  MODEL                        DIM  TOKENS       SIZE  LICENCE"
    assert "● fake                          32      66          -  none" in lines
    assert "○ absent                        32      66          -  none" in lines
    assert lines[-2].startswith("4 of 17 installed (●)")
    assert lines[-1] == "2 remote models (↗): see docs/remote.md"
    installed = {row["name"]: row["installed"] for row in rows}
    assert (installed["fake"], installed["absent"]) == (True, False)
    assert "all-MiniLM-L6-v2" in installed


def test_every_model_is_listed_within_the_terminal(cli):
    listed = cli("models", "list").out

    assert max(map(columns, click.unstyle(listed).splitlines())) <= 80
