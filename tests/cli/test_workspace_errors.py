"""Workspaces that cannot be used: newer formats, damage, locks, wrong places."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from localembed.core.files import read_json, write_json
from tests.conftest import PROJECT


@pytest.mark.parametrize("file", ["head.json", "config.toml"])
@pytest.mark.parametrize("arguments", [("query", "keys"), ("status",), ("index",), ("rm", ".")])
def test_a_workspace_of_a_newer_format_exits_with_5(indexed, cli, file, arguments):
    raise_format(indexed / ".localembed" / file)

    result = cli(*arguments)

    assert (result.code, result.out) == (5, "")
    assert "has format 99; this localembed reads up to 1" in result.err


@pytest.mark.parametrize("arguments", [("query", "keys"), ("status", "--settings"), ("index",)])
def test_a_newer_format_is_named_before_a_setting_that_came_with_it(indexed, cli, arguments):
    config = indexed / ".localembed" / "config.toml"
    raise_format(config)
    config.write_text("from_the_future = 1\n" + config.read_text())

    result = cli(*arguments)

    assert result.code == 5, result.err


def raise_format(file: Path) -> None:
    if file.suffix == ".json":
        write_json(file, {**read_json(file), "format": 99})
        return
    text = re.sub(r"(format\s*=\s*)1\b", r"\g<1>99", file.read_text())
    assert "99" in text
    file.write_text(text)


def test_a_damaged_head_exits_with_5_and_says_what_to_do(indexed, cli):
    head = indexed / ".localembed" / "head.json"
    head.write_text(re.sub(r'"default": "\w+"', '"default": "chunks_gone"', head.read_text()))

    result = cli("query", "keys")

    assert result.code == 5, result.err
    assert "Run: localembed doctor --repair" in result.err
    assert cli("doctor", "--repair").code == 0
    assert cli("query", "keys").code == 0


def test_a_head_that_is_no_json_exits_with_5_and_index_fixes_it(indexed, cli):
    head = indexed / ".localembed" / "head.json"
    head.write_text("{")

    assert cli("query", "keys").code == 5
    head.unlink()
    assert cli("index").code == 0
    assert cli("query", "keys").code == 0


def test_a_locked_workspace_exits_with_5(indexed, cli):
    holder = (
        "import pathlib, sys\n"
        "from localembed.store.layout import Layout\n"
        "from localembed.store.lock import writer_lock\n"
        "with writer_lock(Layout(pathlib.Path('.localembed'))):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        locked = [cli("index"), cli("rm", "garden")]
        found = cli("query", "keys")
        process.stdin.close()

    for result in locked:
        assert (result.code, result.out) == (5, "")
        assert result.err.startswith(
            "Error: Another localembed is writing to NOTES/.localembed. Wait until it is done"
        )
    assert found.code == 0
    assert cli("index").code == 0


@pytest.mark.parametrize(
    "arguments",
    [("index", "."), ("query", "keys"), ("status",), ("rm", "."), ("init",)],
)
def test_a_workspace_below_a_regular_file_exits_with_5(cli, tmp_path, arguments):
    (tmp_path / "file").write_text("x")

    result = cli(*arguments, "--workspace", tmp_path / "file" / "ws")

    assert result.code == 5, result.err
    assert "Traceback" not in result.err


def test_a_command_that_cannot_work_makes_no_workspace(cli, tmp_path, notes):
    (notes / "a.md").write_text("Some words.")
    for arguments in ((), ("nowhere",), (".", "--model", "unknown"), (".", "--overlap", "x")):
        cli("index", *arguments, "--workspace", tmp_path / "ws")
        assert not (tmp_path / "ws").exists(), arguments


def test_a_head_without_permission_is_not_called_damaged(indexed, cli, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("localembed.store.head.read_json", refuse)
    result = cli("status")

    assert result.code == 5
    assert "head.json cannot be read: permission denied. Fix its permissions" in result.err
    assert "doctor" not in result.err
