"""What a workspace reaches outside of its own folder is refused until the user allows it."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import fields

import pytest

import localembed as library
from localembed.core.files import read_json, write_json
from localembed.errors import NotTrustedError, StorageError
from localembed.types.documents import Root
from localembed.workspace import config_keys
from localembed.workspace.roots import Roots
from localembed.workspace.settings import Settings
from localembed.workspace.trust_records import records_path
from tests.cli.test_found_workspaces import COMMANDS, OTHER, as_root


@pytest.fixture
def elsewhere(tmp_path):
    """A folder outside of the notes, with hidden and ignored files."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "diary.md").write_text("Secret diary.\n")
    (folder / ".plan").write_text("Hidden key.\n")
    return folder


def add_root(notes, path, **options):
    """Write a root into config.toml, as a folder that was checked out could have it."""
    config = notes / ".localembed" / "config.toml"
    lines = [f'id = "00"\npath = {json.dumps(str(path))}']
    lines += [f"{name} = {json.dumps(value)}" for name, value in options.items()]
    config.write_text(config.read_text() + "\n[[roots]]\n" + "\n".join(lines) + "\n")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_goes_on_with_a_root_elsewhere(cli, indexed, elsewhere, command):
    add_root(indexed, elsewhere, hidden=True, no_ignore=True)

    refused = cli(*command)

    assert (refused.code, refused.out) == (5, "")
    for what in ("the root {}", "hidden files in {}", "ignored files in {}"):
        assert what.format(elsewhere) in refused.err
    assert "localembed trust NOTES/.localembed" in refused.err


def test_every_way_in_goes_through_the_gate(indexed, elsewhere):
    workspace = library.open(indexed)
    add_root(indexed, elsewhere)
    ways = [
        lambda: workspace.layout, lambda: workspace.settings, lambda: workspace.roots,
        workspace.index, workspace.preview, lambda: workspace.query("a"), workspace.warm,
        lambda: workspace.search(library.Query("a", rerank="m")),
        lambda: workspace.like(library.Query("keys.md")), lambda: workspace.show("keys.md"),
        lambda: workspace.remove("keys.md"), lambda: workspace.use_model("other"),
        workspace.status, lambda: workspace.history, lambda: library.doctor(workspace),
        lambda: library.prove_offline(workspace), lambda: library.open(indexed).status(),
    ]  # fmt: skip
    for way in ways:
        with pytest.raises(NotTrustedError, match="the root"):
            way()


def test_a_root_that_is_named_is_allowed_from_then_on(cli, indexed, elsewhere):
    assert cli("index", elsewhere, "--hidden").code == 0
    assert cli("index").code == 0
    assert cli("query", "diary", "--mode", "text").code == 0

    listed = json.loads(cli("trust", "--list", "--json").out)["workspaces"]

    assert [(w["workspace"], w["owner"]) for w in listed] == [
        ("NOTES/.localembed", os.geteuid() if hasattr(os, "geteuid") else 0)
    ]
    assert len(listed[0]["id"]) == 32
    assert sorted(p["kind"] for p in listed[0]["permissions"]) == ["hidden", "root"]
    assert records_path().stat().st_mode & 0o777 == 0o600


def test_what_only_the_config_says_of_a_named_root_is_switched_off(cli, indexed, elsewhere):
    add_root(indexed, elsewhere, hidden=True)

    assert json.loads(cli("index", "--dry-run", "--json", elsewhere).out)["files"] == 1
    assert cli("index", elsewhere).code == 0
    assert cli("status").code == 0
    assert cli("query", "hidden", "--mode", "text").code == 1
    kinds = [p["kind"] for p in json.loads(cli("trust", "--json").out)["permissions"]]
    assert kinds == ["root"]
    assert [root.hidden for root in library.open(indexed).roots] == [False, False]
    assert cli("index", elsewhere, "--hidden").code == 0
    assert cli("query", "hidden", "--mode", "text").code == 0
    assert cli("index", elsewhere).code == 0, "what was named once stays"
    assert cli("query", "hidden", "--mode", "text").code == 0


@pytest.mark.parametrize("is_given", [True, False])
def test_a_root_that_is_moved_keeps_the_options_that_were_given(
    cli, indexed, elsewhere, tmp_path, is_given
):
    if is_given:
        assert cli("index", elsewhere, "--hidden").code == 0
    else:
        assert cli("index", elsewhere).code == 0
        config = indexed / ".localembed" / "config.toml"
        hostile = 'path = "/nowhere"\nelsewhere = true\nhidden = true'
        config.write_text(config.read_text().replace(f'path = "{elsewhere}"', hostile))
    elsewhere.rename(tmp_path / "moved")

    old = elsewhere if is_given else "/nowhere"
    assert cli("roots", "move", old, tmp_path / "moved").code == 0

    refused = cli("index")
    assert refused.code == (0 if is_given else 5)
    assert ("hidden files in" in refused.err) is not is_given


def test_a_root_that_continues_another_has_no_options_that_were_not_given(cli, indexed, elsewhere):
    config = indexed / ".localembed" / "config.toml"
    hostile = 'path = "/nowhere"\nelsewhere = true\nhidden = true\nno_ignore = true'
    config.write_text(config.read_text().replace('path = "."', hostile))
    for note in indexed.glob("*.md"):
        shutil.copy(note, elsewhere)

    dry = json.loads(cli("index", "--dry-run", "--json", elsewhere).out)
    assert cli("index", elsewhere).code == 0

    assert cli("query", "Secret", "--mode", "text").code == 0
    assert cli("query", "Hidden", "--mode", "text").code == 1
    (root,) = library.open(indexed).roots
    assert (root.path, root.hidden, root.no_ignore) == (os.fsencode(elsewhere), False, False)
    assert dry["files"] == 1 + len(list(indexed.glob("*.md")))


def test_a_link_that_leads_elsewhere_since_the_check_is_refused(indexed, elsewhere, monkeypatch):
    """Another user may own a folder of a root's path, and replace it at any moment."""
    (indexed / "inner").mkdir()
    add_root(indexed, indexed / "inner")
    workspace = library.open(indexed)
    original = Roots.targets

    def replaced_by_now(self, paths):
        (indexed / "inner").rmdir()
        (indexed / "inner").symlink_to(elsewhere)
        return original(self, paths)

    monkeypatch.setattr(Roots, "targets", replaced_by_now)
    with pytest.raises(NotTrustedError, match=f"the root {elsewhere}"):
        workspace.index()


def test_a_dry_run_allows_for_once(cli, indexed, elsewhere):
    assert cli("index", "--dry-run", elsewhere).code == 0
    add_root(indexed, elsewhere)
    assert cli("status").code == 5


def test_a_root_that_is_refused_can_be_removed(cli, indexed, elsewhere):
    add_root(indexed, elsewhere, hidden=True)

    assert cli("rm", elsewhere).code == 0

    assert cli("status").code == 0


def test_a_removed_root_is_not_allowed_any_more(cli, indexed, elsewhere):
    cli("index", elsewhere)
    assert cli("rm", elsewhere).code == 0
    assert json.loads(cli("trust", "--list", "--json").out) == {"workspaces": []}
    add_root(indexed, elsewhere)
    assert cli("status").code == 5


def test_trust_shows_what_it_allows_and_forgets_it(cli, indexed, elsewhere):
    add_root(indexed, elsewhere)

    done = cli("trust")
    assert done.parts == (
        0, f"NOTES/.localembed may use:\n  the root {elsewhere}\n", "",
    )  # fmt: skip
    assert cli("index").code == 0
    assert cli("trust").out == "NOTES/.localembed needs no more than it is allowed\n"
    assert cli("trust", "--list").out == f"NOTES/.localembed\n  the root {elsewhere}\n"
    again = json.loads(cli("trust", indexed, "--json").out)
    assert (again["added"], len(again["permissions"])) == ([], 1)

    assert cli("trust", "--forget").out == "Forgot 1 permission\n"
    assert cli("index").code == 5
    assert cli("trust", "--list").out.startswith("No workspace has been allowed anything")


def test_trust_on_a_terminal_asks(cli, indexed, elsewhere, monkeypatch):
    import io

    add_root(indexed, elsewhere)
    monkeypatch.setattr("localembed.cli.trust._is_terminal", lambda: True)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    refused = cli("trust")
    assert (refused.code, refused.out) == (5, "Nothing was allowed\n")
    assert f"NOTES/.localembed wants to use:\n  the root {elsewhere}\nAllow it?" in refused.err
    assert cli("status").code == 5

    assert cli("trust", "--yes").code == 0
    assert cli("status").code == 0


@as_root
def test_a_workspace_of_another_user_can_be_trusted(cli, indexed, elsewhere):
    for path in [indexed / ".localembed", *(indexed / ".localembed").rglob("*")]:
        os.chown(path, OTHER, OTHER)
    add_root(indexed, elsewhere)

    shown = cli("trust", indexed)

    assert "the folder NOTES/.localembed, which other users could change" in shown.out
    assert cli("index").code == 0
    os.chown(indexed / ".localembed", 12345, 12345)
    assert cli("status").code == 5, "another owner"


def test_python_trusts_as_well(indexed, elsewhere):
    add_root(indexed, elsewhere)

    known = library.trust(indexed)

    assert [(p.kind, p.value) for p in known.permissions] == [("root", str(elsewhere))]
    assert library.open(indexed).index().files.added == 1
    assert [w.folder for w in library.trusted_workspaces()] == [indexed / ".localembed"]
    assert library.distrust(indexed) == 1
    with pytest.raises(NotTrustedError):
        library.open(indexed).index()
    library.open(indexed).index([elsewhere])
    library.open(indexed).index()


def test_a_moved_workspace_keeps_what_it_was_allowed_and_a_copy_does_not(
    cli, indexed, elsewhere, tmp_path
):
    cli("index", elsewhere)
    shutil.copytree(indexed, tmp_path / "copy")
    assert cli("status", "--workspace", tmp_path / "copy" / ".localembed").code == 5
    indexed.rename(tmp_path / "moved")
    indexed.mkdir()
    os.chdir(tmp_path / "moved")

    config = tmp_path / "moved" / ".localembed" / "config.toml"
    config.write_text(config.read_text().replace(str(indexed), str(tmp_path / "moved")))
    assert cli("status").code == 0


def test_another_workspace_in_the_same_place_is_not_allowed_what_the_first_was(
    cli, indexed, elsewhere
):
    cli("index", elsewhere)
    shutil.rmtree(indexed / ".localembed")
    cli("init")
    add_root(indexed, elsewhere)

    assert cli("status").code == 5


def test_the_users_own_workspace_needs_no_question_in_a_new_home(
    cli, indexed, tmp_path, monkeypatch
):
    (tmp_path / "fresh").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "fresh"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "fresh" / "data"))

    assert cli("index").code == 0
    assert cli("query", "api", "--mode", "text").code == 0
    assert not records_path().exists()


def test_the_user_wide_workspace_needs_no_question(cli, notes, elsewhere, own_home):
    assert cli("index", elsewhere).code == 0
    assert not records_path().exists()
    config = own_home / "data" / "localembed" / "workspace" / "config.toml"
    shutil.copytree(elsewhere, notes, dirs_exist_ok=True)
    config.write_text(config.read_text().replace(str(elsewhere), str(notes)))
    assert cli("index").code == 0


def test_a_bundle_in_the_user_wide_workspace_is_asked_about(
    cli, notes, tmp_path, monkeypatch, tiny_models
):
    (notes / "a.md").write_text("alpha")
    cli("init")
    assert cli("index", "--model", "tiny-static").code == 0
    bundle = tmp_path / "b.tar"
    assert cli("models", "bundle", "create", "--with-index", "-o", bundle).code == 0
    shutil.rmtree(notes / ".localembed")
    monkeypatch.setenv("LOCALEMBED_MODEL", "tiny-static")

    assert cli("models", "bundle", "install", bundle).code == 0

    workspace = records_path().parent / "workspace"
    assert cli("index").code == 5, "its root is of another machine until it is named"
    config = workspace / "config.toml"
    config.write_text(config.read_text().replace("elsewhere = true", ""))
    refused = cli("index")
    assert (refused.code, "the root NOTES" in refused.err) == (5, True)
    assert cli("trust", "--workspace", workspace).code == 0
    assert cli("index").code == 0


def test_a_remote_model_that_a_workspace_names_is_refused(cli, notes, known, server, monkeypatch):
    monkeypatch.delenv("LOCALEMBED_MODEL")
    (notes / "a.md").write_text("alpha")
    cli("init")
    config = notes / ".localembed" / "config.toml"
    config.write_text('model = "remote"\n' + config.read_text())

    refused = cli("index", "--allow-network")
    assert refused.code == 5
    assert "the remote model remote" in refused.err
    assert server.requests == []

    config.write_text(config.read_text().replace('model = "remote"\n', ""))
    assert cli("index", "--model", "remote", "--allow-network").code == 0
    sent = len(server.requests)
    config.write_text('model = "remote"\n' + config.read_text())
    assert cli("query", "alpha", "--allow-network").code == 0
    assert len(server.requests) > sent
    assert cli("trust", "--forget").code == 0
    config.write_text(config.read_text().replace('model = "remote"\n', ""))
    assert cli("query", "alpha", "--allow-network").code == 5, "head.json names it"


@pytest.mark.parametrize(("kind", "value"), [("everything", "/"), ("root", 3), (["root"], "/")])
def test_a_permission_of_an_unknown_kind_is_a_sentence(cli, indexed, elsewhere, kind, value):
    cli("index", elsewhere)
    records = read_json(records_path())
    records["workspaces"][0]["permissions"].append({"kind": kind, "value": value})
    write_json(records_path(), records)

    for command in (("status",), ("trust",), ("trust", "--list"), ("trust", "--forget")):
        done = cli(*command)
        assert (done.code, "cannot be read" in done.err) == (5, True), command


def test_a_damaged_record_is_a_sentence(cli, indexed, elsewhere):
    cli("index", elsewhere)
    records_path().write_text("{")

    refused = cli("status")

    assert refused.code == 5
    assert "trust.json cannot be read" in refused.err
    with pytest.raises(StorageError):
        library.trusted_workspaces()
    records_path().unlink()
    assert "the root" in cli("status").err


def test_the_table_has_every_key_of_the_config():
    assert set(config_keys.SETTINGS) == {field.name for field in fields(Settings)}
    keys = set(config_keys.ROOT) - {"id", "path_hex", "removed_hex"}
    assert keys == {field.name for field in fields(Root)} - {"root_id"}
    assert set(config_keys.FILE) == {"format", "id", "roots", "forgotten"}


@pytest.mark.parametrize("line", ["sql = \"ATTACH '/x'\"", "[server]", 'ID = "x"', '"path " = "/"'])
def test_a_key_that_is_not_in_the_table_is_refused_by_name(cli, indexed, line):
    config = indexed / ".localembed" / "config.toml"
    text = config.read_text()
    name = line.split("=")[0].strip('[]" ')

    config.write_text(f"{line}\n{text}" if "[" not in line else f"{text}\n{line}\n")
    top = cli("index")
    config.write_text(f"{text}\n{line}\n" if "[" not in line else text)
    block = cli("index")

    assert (top.code, name in top.err) == (2, True)
    assert block.code == (2 if "[" not in line else 0)
    assert "[" in line or name in block.err
