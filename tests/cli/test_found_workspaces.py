"""A workspace that was found is used only if no other user could have made or changed it."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import click
import pytest

import localembed as library
from localembed.cli.main import cli as group
from localembed.cli.serve import _Answerer
from localembed.core import ownership
from localembed.errors import NotTrustedError
from localembed.server.requests import QueryRequest
from localembed.server.service import Place, Service

OTHER = 65534
as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root has two users"
)
COMMANDS = [
    ("index",), ("index", "--dry-run"), ("query", "api"), ("show", "keys.md"), ("rm", "keys.md"),
    ("status",), ("status", "--settings"), ("doctor",), ("doctor", "--repair"),
    ("doctor", "--offline"), ("serve",), ("versions", "list"), ("versions", "gc"),
    ("models", "list"), ("models", "use", "fake"), ("models", "verify"),
    ("models", "bundle", "create", "--with-index", "-o", "x.tar"),
]  # fmt: skip


@pytest.fixture
def inner(indexed, monkeypatch):
    """A folder two levels below the one with the workspace, as the current one."""
    folder = indexed / "garden" / "beds"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@as_root
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_uses_the_workspace_of_another_user(cli, indexed, inner, command):
    os.chown(indexed / ".localembed", OTHER, OTHER)
    before = {path: path.lstat().st_mtime_ns for path in indexed.rglob("*")}

    refused = cli(*command)

    assert (refused.code, refused.out) == (5, "")
    assert "NOTES/.localembed is not used" in refused.err
    assert "belongs to another user (uid 65534)" in refused.err
    assert "--workspace NOTES/.localembed" in refused.err
    assert "localembed trust NOTES/.localembed" in refused.err
    assert {path: path.lstat().st_mtime_ns for path in indexed.rglob("*")} == before


@as_root
@pytest.mark.parametrize("place", [".localembed", ".", "garden", "garden/beds", ".."])
def test_every_folder_through_which_it_could_be_replaced_is_examined(cli, indexed, inner, place):
    folder = indexed / place
    os.chown(folder, OTHER, OTHER)
    assert cli("status").code == 5
    os.chown(folder, 0, 0)
    assert cli("status").code == 0
    for mode in (0o777, 0o707, 0o770):
        folder.chmod(mode)
        assert cli("status").code == 5, oct(mode)
    folder.chmod(0o755)
    assert cli("status").code == 0


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="no access lists as on Linux")
@pytest.mark.parametrize("place", [".localembed", ".localembed/head.json", ".", "garden", ".."])
def test_a_user_in_an_access_list_is_another_user(cli, indexed, inner, place, monkeypatch):
    """The mode shows the rights of everybody in the list as those of the group."""
    monkeypatch.setattr(ownership, "_is_private_group", lambda _: True)
    (indexed / ".localembed").chmod(0o770)
    path = indexed / place
    path.chmod(0o770)
    assert cli("status").code == 0
    entries = [(1, 7, 2**32 - 1), (2, 7, OTHER), (4, 7, 2**32 - 1), (16, 7, 2**32 - 1)]
    entries.append((32, 0, 2**32 - 1))
    packed = b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2) + packed)
    except OSError:
        pytest.skip("this file system has no access lists")
    assert path.stat().st_mode & 0o777 == 0o770

    assert cli("status").code == 5


@pytest.mark.parametrize("place", [".", "garden", ".."])
def test_a_sticky_folder_may_be_writable_but_not_the_workspace(cli, indexed, inner, place):
    (indexed / place).chmod(0o1777)
    assert cli("status").code == 0
    (indexed / ".localembed").chmod(0o1777)
    assert cli("status").code == 5


@pytest.mark.parametrize("place", [".localembed", ".", "garden", "garden/beds", ".."])
def test_each_of_these_folders_can_be_trusted_all_the_same(cli, indexed, inner, place):
    (indexed / place).chmod(0o777)
    assert cli("status").code == 5

    assert cli("trust", indexed / ".localembed").code == 0

    assert cli("status").code == 0
    assert cli("index").code == 0


def test_another_users_workspace_in_a_sticky_folder_is_refused(cli, indexed, inner):
    (indexed / "garden").chmod(0o1777)
    shutil.copytree(indexed / ".localembed", indexed / "garden" / ".localembed")
    if os.geteuid() == 0:
        os.chown(indexed / "garden" / ".localembed", OTHER, OTHER)
    else:
        (indexed / "garden" / ".localembed").chmod(0o777)

    refused = cli("query", "api")

    assert refused.code == 5
    assert "NOTES/garden/.localembed is not used" in refused.err


def test_a_link_that_is_found_is_refused(cli, indexed, tmp_path):
    (indexed / ".localembed").rename(tmp_path / "other")
    (indexed / ".localembed").symlink_to(tmp_path / "other")

    assert "NOTES/.localembed is a link" in cli("status").err
    assert cli("status", "--workspace", ".localembed").code == 5
    assert cli("status", "--workspace", tmp_path / "other").code == 0


@pytest.mark.parametrize("target", ["other", "missing"])
def test_init_makes_no_workspace_through_a_link(cli, notes, tmp_path, target):
    (tmp_path / "other").mkdir()
    (notes / ".localembed").symlink_to(tmp_path / target)

    refused = cli("init")

    assert (refused.code, refused.out) == (5, "")
    with pytest.raises(NotTrustedError, match="is a link"):
        library.open(notes)
    assert not list((tmp_path / "other").iterdir())
    assert not (tmp_path / "missing").exists()


@as_root
def test_init_makes_no_workspace_in_a_folder_of_another_user(cli, notes):
    (notes / ".localembed").mkdir()
    os.chown(notes / ".localembed", OTHER, OTHER)

    refused = cli("init")

    assert (refused.code, refused.out) == (5, "")
    assert "NOTES/.localembed belongs to another user (uid 65534)" in refused.err
    with pytest.raises(NotTrustedError):
        library.open(notes)
    assert not list((notes / ".localembed").iterdir())


@as_root
def test_a_named_workspace_is_the_users_word_for_it(cli, indexed, monkeypatch):
    for path in [indexed / ".localembed", *(indexed / ".localembed").rglob("*")]:
        os.chown(path, OTHER, OTHER)
    (indexed / ".localembed").chmod(0o777)
    assert cli("status").code == 5

    assert cli("query", "api", "--workspace", ".localembed").code == 0
    assert cli("index", "--workspace", ".localembed").code == 0
    assert library.open(indexed).query("api", mode="text")
    monkeypatch.setenv("LOCALEMBED_WORKSPACE", str(indexed / ".localembed"))
    assert cli("query", "api").code == 0


@as_root
@pytest.mark.parametrize("name", ["manifest.duckdb", "vectors", "runs", "head.json", "config.toml"])
def test_what_a_third_user_owns_in_a_workspace_is_not_written(cli, indexed, name):
    os.chown(indexed / ".localembed" / name, 12345, 12345)
    (indexed / "keys.md").write_text("something else")
    before = {path: path.lstat().st_mtime_ns for path in indexed.rglob("*")}

    refused = cli("index")

    assert refused.code == 5
    assert f".localembed/{name} belongs to another user (uid 12345)" in refused.err
    assert {path: path.lstat().st_mtime_ns for path in indexed.rglob("*")} == before
    assert cli("query", "api", "--mode", "text").code == 0


@as_root
def test_the_resident_answers_nothing_from_a_workspace_of_another_user(cli, indexed, inner):
    query = group.get_command(click.Context(group), "query")
    assert query is not None
    answerer = _Answerer(query, Service(1 << 30), Place(str(inner)))
    words = ("query", "api", "--mode", "text", "--format", "paths")

    def ask():
        home = os.path.expanduser("~")  # noqa: PTH111 - as text
        folder = str(inner)
        return answerer._answer_words(
            QueryRequest(words[1:], folder, home, 80, (False, False), False, False, {})
        )

    assert ask().out == b"%s\n" % os.fsencode(indexed / "keys.md")
    os.chown(indexed / ".localembed", OTHER, OTHER)
    refused = ask()

    assert (refused.code, refused.out) == (5, b"")
    assert b"belongs to another user" in refused.err
    os.chown(indexed / ".localembed", 0, 0)
    (indexed / ".localembed" / "vectors2").symlink_to("/")
    assert b"is a link" in ask().err


def test_a_look_at_the_owners_is_a_few_calls(indexed, inner, monkeypatch):
    calls = []
    original = os.lstat
    monkeypatch.setattr(os, "lstat", lambda path: calls.append(path) or original(path))

    assert ownership.objection(str(indexed / ".localembed"), str(inner)) is None

    assert len(calls) == 1 + len(inner.parents) + 1


@as_root
def test_two_users_do_not_share_what_they_find(monkeypatch):
    """The user is 65534, the workspace of root is trusted, that of 12345 is not."""
    place = Path(tempfile.mkdtemp(prefix="le-"))
    monkeypatch.setenv("XDG_DATA_HOME", str(place / "data"))
    monkeypatch.chdir(place)
    workspace = place / ".localembed"
    workspace.mkdir()
    (workspace / "config.toml").write_text("")
    os.chown(place, OTHER, OTHER)
    library.Workspace(workspace).status()  # what is imported only now cannot be read later
    found: dict[int, str] = {}
    try:
        for owner in (OTHER, 0, 12345):
            os.chown(workspace, owner, owner)
            os.seteuid(OTHER)
            try:
                found[owner] = str(library.Workspace.discover().folder)
            except NotTrustedError as error:
                found[owner] = str(error)
            finally:
                os.seteuid(0)
    finally:
        shutil.rmtree(place)

    assert found[OTHER] == found[0] == str(workspace)
    assert "(uid 12345)" in found[12345]


def test_a_private_group_may_write(monkeypatch, tmp_path):
    import grp
    import pwd

    group, user = tmp_path.stat().st_gid, os.geteuid()
    monkeypatch.setattr(ownership, "_ROOT", -1)
    names = pwd.struct_passwd(("me", "x", user, group, "", "/", "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: names)
    (tmp_path / ".localembed").mkdir(mode=0o770)
    (tmp_path / ".localembed").chmod(0o770)
    outcomes = []
    for name, members in (("me", []), ("me", ["me"]), ("me", ["me", "you"]), ("team", [])):
        found = grp.struct_group((name, "x", group, members))
        monkeypatch.setattr(grp, "getgrgid", lambda _, found=found: found)
        outcomes.append(ownership.objection(str(tmp_path / ".localembed"), str(tmp_path)) is None)

    assert outcomes == [True, True, False, False]


def test_init_in_a_folder_that_others_may_write_says_what_that_means(cli, notes):
    notes.chmod(0o777)

    made = cli("init")

    assert made.out == "Created the workspace NOTES/.localembed\n"
    assert "NOTES can be written by other users (mode 0777)" in made.err
    assert cli("status").code == 5
    assert cli("trust").code == 0
    assert cli("status").code == 0


def test_git_sees_nothing_of_a_workspace(cli, notes):
    subprocess.run(["git", "init", "-q", notes], check=True)

    cli("init")
    (notes / ".localembed" / "config.toml").touch()
    shown = subprocess.run(
        ["git", "status", "--porcelain"], cwd=notes, capture_output=True, text=True, check=True
    )

    assert shown.stdout == ""


def test_a_workspace_without_the_rule_gets_it_at_its_next_write(cli, indexed, own_home):
    rule = indexed / ".localembed" / ".gitignore"
    assert rule.read_text() == "*\n"
    rule.unlink()
    assert cli("query", "api", "--mode", "text").code == 0
    assert not rule.exists()

    assert cli("index").code == 0

    assert rule.read_text() == "*\n"
    rule.write_text("!shared\n")
    assert cli("index").code == 0
    assert rule.read_text() == "!shared\n"


def test_the_user_wide_workspace_has_the_rule_as_well(cli, notes, own_home):
    (notes / "a.md").write_text("alpha")
    assert cli("index", ".").code == 0
    assert (own_home / "data" / "localembed" / "workspace" / ".gitignore").read_text() == "*\n"
