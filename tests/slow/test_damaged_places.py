"""Anything in place of anything that a workspace contains: nothing ends in a traceback."""

from __future__ import annotations

import re
import shutil

import pytest

from tests.conftest import all_rows
from tests.damage import grow
from tests.damaged_places import COMMANDS, DOCUMENTED, WAYS, call, places

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

OWN = ("config.toml", "models.toml")
"""Files that belong to the user: they are never rebuilt, but named."""


def kinds(names: list[str]) -> list[str]:
    """Return two places of each kind."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        kind = re.sub(r"[0-9a-f-]{8,}|\\d+", "N", name)
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= 2:
            found.append(name)
    return found


@pytest.mark.parametrize("way", WAYS)
def test_anything_in_place_of_anything(workspace, notes, tmp_path, way):
    grow(workspace, notes)
    rows = all_rows(workspace)
    folder, copy = workspace.folder, tmp_path / "copy"
    shutil.copytree(folder, copy, symlinks=True)
    wrong = []
    for place in kinds(places(copy)):
        shutil.rmtree(folder)
        shutil.copytree(copy, folder, symlinks=True)
        WAYS[way](folder / place)
        for command in COMMANDS:
            done = call(folder, command)
            if done.code not in DOCUMENTED or "Traceback" in done.err:
                wrong.append((place, done))
            if "doctor" in command and "Free some space" in done.out + done.err:
                wrong.append((place, done))
        if place not in OWN and (done.code != 0 or all_rows(workspace) != rows):
            wrong.append((place, done))
    assert wrong == []
