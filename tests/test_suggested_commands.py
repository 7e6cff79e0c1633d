"""Commands in messages work when they are copied into a shell, whatever a folder is called."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess

import pytest

import localembed
from localembed.core.text import shell_word
from localembed.errors import NotTrustedError, UsageError
from localembed.workspace.lost_roots import lost_notice

NAMES = [b"plain", b"two words", "Büro".encode(), b"it's", b"a$(b)`c`", b"caf\xe9", b"x\ny\\z\x1b"]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="asks bash")


@pytest.mark.parametrize("name", NAMES)
def test_a_shell_reads_a_path_as_one_word(name):
    bash = shutil.which("bash")
    assert bash is not None
    command = f"printf %s {shell_word(name)}"
    assert subprocess.run([bash, "-c", command], capture_output=True, check=True).stdout == name


def test_a_refused_workspace_names_a_command_that_can_be_copied(workspace, notes, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    workspace.index([outside], options={})
    copy = tmp_path / "my notes"
    shutil.copytree(notes, copy)
    with pytest.raises(NotTrustedError) as refused:
        localembed.open(copy).status()
    words = shlex.split(str(refused.value).rpartition("run: ")[2])
    assert words == ["localembed", "trust", str(copy / ".localembed")]


def test_a_lost_file_names_a_command_that_can_be_copied(workspace, notes):
    file = notes / "two words.md"
    file.write_text("A text.")
    workspace.index([notes], options={})
    file.unlink()
    with pytest.raises(UsageError) as refused:
        workspace.index([file])
    words = shlex.split(str(refused.value).rpartition("To remove it: ")[2])
    assert words == ["localembed", "rm", str(file)]


def test_a_missing_root_names_commands_that_can_be_copied(workspace, tmp_path):
    root = tmp_path / "two words"
    root.mkdir()
    (root / "a.md").write_text("A text.")
    workspace.index([root], options={})
    shutil.rmtree(root)
    (message,) = workspace.index().refused
    assert f"localembed roots move '{root}' NEW" in message
    assert message.endswith(f"localembed rm '{root}'")


def test_one_file_of_a_lost_root_is_counted_in_english():
    assert lost_notice("ab", 1).startswith("1 file of a root that config.toml does not list is ")
    assert lost_notice("ab", 2).startswith("2 files of a root that config.toml does not list are ")
