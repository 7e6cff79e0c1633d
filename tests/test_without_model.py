"""Whatever embeds nothing needs no model."""

from __future__ import annotations

import json

import pytest

import localembed
from localembed.errors import ModelError, OfflineError
from tests.conftest import all_rows
from tests.static_model import write_static
from tests.test_broken_models import register

AWAY = ("folder", "weights", "block", "other weights")


@pytest.fixture
def model(tmp_path):
    folder = write_static(tmp_path / "tiny")
    register(folder)
    return folder


@pytest.fixture
def indexed(model, notes):
    """A workspace with three notes, and a folder of its own."""
    for name, text in {
        "a": "keys rotate in the harbour",
        "b": "bread needs flour and water",
        "c": "the lamp burns at night",
    }.items():
        (notes / f"{name}.md").write_text(f"{text}\n")
    workspace = localembed.Workspace(notes / ".localembed", {"model": "tiny"})
    workspace.index([notes])
    return workspace


def take_away(model, what: str) -> None:
    """Make the model unusable."""
    if what == "folder":
        model.rename(model.with_name("elsewhere"))
    elif what == "weights":
        (model / "0_StaticEmbedding" / "model.safetensors").unlink()
    elif what == "block":
        (localembed.core.user_folders.user_config() / "models.toml").write_text("")
    else:
        pinned = localembed.core.user_folders.user_config() / "models.toml"
        hashes = "".join(
            f'"0_StaticEmbedding/{file}" = "{"0" * 64}"\n' for file in ("model.safetensors",)
        )
        pinned.write_text(f"{pinned.read_text()}\n[models.tiny.sha256]\n{hashes}")


def again(workspace):
    """Return the workspace as another process opens it."""
    return localembed.Workspace(workspace.folder, {})


def paths(workspace) -> list[str]:
    return sorted({row[2].rsplit("/", 1)[-1] for row in all_rows(workspace)})


@pytest.fixture(params=AWAY)
def away(request, model, indexed, notes):
    take_away(model, request.param)
    return request.param


def test_a_run_without_changes(away, indexed):
    report = again(indexed).index()

    assert (report.exit_code, report.changed, report.files.unchanged) == (0, False, 3)


def test_a_deletion_is_followed(away, indexed, notes):
    (notes / "a.md").unlink()

    report = again(indexed).index()

    assert (report.exit_code, report.files.removed) == (0, 1)
    assert paths(indexed) == ["b.md", "c.md"]
    assert not again(indexed).query("harbour", mode="text")


def test_files_that_were_touched_or_are_binary(away, indexed, notes):
    (notes / "a.md").touch()
    (notes / "binary").write_bytes(bytes(100))

    report = again(indexed).index()

    assert (report.exit_code, report.chunks.embedded) == (0, 0)


def test_deletions_are_followed_before_the_run_fails(away, indexed, notes):
    (notes / "a.md").unlink()
    (notes / "new.md").write_text("gravel by the river\n")

    with pytest.raises(ModelError):
        again(indexed).index()

    assert paths(indexed) == ["b.md", "c.md"]
    assert not again(indexed).query("harbour", mode="text")
    with pytest.raises(ModelError):
        again(indexed).index()
    assert [hit.path[-4:] for hit in again(indexed).query("bread", mode="text")] == ["b.md"]


def test_removing_restoring_and_collecting(away, indexed, notes):
    (notes / "a.md").unlink()
    workspace = again(indexed)
    workspace.index()
    workspace.history.restore("1")
    assert paths(workspace) == ["a.md", "b.md", "c.md"]
    workspace.remove(notes / "b.md")
    assert paths(workspace) == ["a.md", "c.md"]
    workspace.history.collect_garbage(1)
    assert paths(workspace) == ["a.md", "c.md"]
    assert workspace.index().exit_code == 0


@pytest.mark.parametrize("what", ["weights", "other weights"])
def test_new_text_whose_vectors_exist_needs_the_tokenizer_only(what, model, indexed, notes):
    take_away(model, what)
    (notes / "a.md").rename(notes / "renamed.md")
    (notes / "copy.md").write_text((notes / "b.md").read_text())

    report = again(indexed).index()

    assert (report.exit_code, report.chunks.reused, report.chunks.embedded) == (0, 2, 0)
    assert paths(indexed) == ["b.md", "c.md", "copy.md", "renamed.md"]


def test_files_that_need_the_model_are_left_out_alone(model, indexed, notes):
    take_away(model, "weights")
    (notes / "a.md").rename(notes / "renamed.md")
    (notes / "aa.md").write_text("gravel by the river\n")
    (notes / "copy.md").write_text((notes / "b.md").read_text())
    (notes / "twice.md").write_text("gravel by the river\n")

    with pytest.raises(ModelError, match="lacks its weights"):
        again(indexed).index()

    assert paths(indexed) == ["b.md", "c.md", "copy.md", "renamed.md"]
    assert len(again(indexed).query("bread", mode="text")) == 2


def test_the_model_comes_back(away, model, indexed, notes, tmp_path):
    (notes / "a.md").unlink()
    (notes / "new.md").write_text("gravel by the river\n")
    with pytest.raises(ModelError):
        again(indexed).index()
    restored = write_static(tmp_path / "again" / "tiny")
    if model.exists():
        model.rename(tmp_path / "spoilt")
    restored.rename(model)
    (localembed.core.user_folders.user_config() / "models.toml").write_text("")
    register(model)

    report = again(indexed).index()

    assert (report.exit_code, report.chunks.embedded) == (0, 1)
    assert paths(indexed) == ["b.md", "c.md", "new.md"]


def test_settings_that_ask_for_another_table_need_the_model(away, indexed):
    for flags in ({"chunk_tokens": 16}, {"vector_type": "float32"}, {"overlap": 1}):
        with pytest.raises(ModelError):
            localembed.Workspace(indexed.folder, flags).index()


def test_a_remote_model_that_may_not_be_asked(known, server, notes):
    (notes / "a.md").write_text("keys rotate\n")
    (notes / "b.md").write_text("bread and water\n")
    workspace = localembed.Workspace(notes / ".localembed", {"model": "remote"})
    workspace.index([notes])
    (notes / "a.md").unlink()
    (notes / "c.md").write_text("bread and water\n")
    (notes / "d.md").write_text("something else\n")
    server.fault_of = lambda _number, _texts: "401"

    with pytest.raises((ModelError, OfflineError)):
        again(workspace).index()

    assert "a.md" not in paths(workspace)
    assert "d.md" not in paths(workspace)


def test_the_command_line(model, indexed, notes, run_cli):
    def command(*arguments):
        return run_cli(*arguments, cwd=notes, env={"LOCALEMBED_MODEL": ""})

    take_away(model, "folder")
    (notes / "a.md").unlink()
    done = command("index", "--json")
    assert (done.stderr, done.returncode) == ("", 0)
    assert json.loads(done.stdout)["files"]["removed"] == 1
    (notes / "new.md").write_text("gravel\n")
    failed = command("index")
    assert (failed.returncode, failed.stdout) == (4, "")
    assert failed.stderr.startswith("Error: ")
    assert command("index", "--dry-run").returncode == 4
    assert command("status").returncode == 0
