"""Bundles: the same bytes twice, complete or refused, and nothing half installed."""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from localembed import doctor, models
from localembed.core.hashing import fingerprint
from localembed.errors import (
    BundleError,
    ModelRefusedError,
    NotIndexedError,
    UsageError,
)
from localembed.models import bundle
from localembed.models.add import add_model, remove_model
from localembed.models.bundle.contents import NAME
from localembed.models.files import store_folder
from localembed.store.layout import Layout
from localembed.workspace.workspace import Workspace
from tests.registry import unpin_registry, write_registry
from tests.static_model import write_static


@pytest.fixture
def tiny(tmp_path):
    """A model that was added from a folder."""
    add_model(write_static(tmp_path / "tiny"))
    return "tiny"


@pytest.fixture
def indexed(tmp_path, tiny):
    """A workspace with an index of it."""
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "a.md").write_text("rotate the api keys at night\n")
    (notes / "b.md").write_text("bread is flour and water\n")
    workspace = Workspace(tmp_path / "ws", {"model": tiny})
    workspace.index([notes])
    return workspace


@pytest.fixture
def nowhere(tmp_path):
    """A folder without a workspace."""
    return Layout(tmp_path / "elsewhere" / ".localembed")


def other_machine(monkeypatch, tmp_path, name: str) -> None:
    """Switch to a user without any data."""
    home = tmp_path / name
    home.mkdir()
    for variable in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(home / variable.lower()))


def left_behind() -> list[str]:
    """Return the contents of the folder of installed models."""
    folder = store_folder("x").parent
    found = [path.name for path in folder.iterdir()] if folder.exists() else []
    return sorted(name for name in found if name != ".lock")


def test_the_same_models_and_index_give_the_same_bytes(indexed, tmp_path):
    files = [tmp_path / "one.tar", tmp_path / "two.tar"]
    for file in files:
        bundle.create_bundle((), file, indexed.layout, with_index=True)
        for path in (tmp_path / "tiny").rglob("*"):
            path.touch()  # times are not part of a bundle

    assert files[0].read_bytes() == files[1].read_bytes()
    os.umask(umask := os.umask(0))
    assert files[0].stat().st_mode & 0o777 == 0o666 & ~umask  # the user names it


def test_a_model_and_its_index_travel_to_a_machine_that_has_neither(
    indexed, tmp_path, monkeypatch, nowhere
):
    file = tmp_path / "b.tar"
    made = bundle.create_bundle((), file, indexed.layout, with_index=True)
    other_machine(monkeypatch, tmp_path, "other")
    shutil.rmtree(tmp_path / "tiny")
    shutil.rmtree(indexed.folder)

    assert bundle.verify_bundle(file) == made
    done = bundle.install_bundle(file, nowhere)

    assert (done.models, done.present, done.workspace) == (("tiny",), (), nowhere.folder)
    assert left_behind() == ["tiny"]
    workspace = Workspace(nowhere.folder)
    (hit, *_) = workspace.query("rotate keys")
    assert Path(str(hit.path)).name == "a.md"
    assert doctor(workspace, deep=True).verdict == "ok"
    assert nowhere.folder.stat().st_mode & 0o777 == 0o700


def test_a_model_of_the_registry_needs_no_block_of_its_own(tmp_path, monkeypatch, nowhere):
    unpin_registry(monkeypatch, tmp_path)
    known = models.find_spec("static-retrieval-mrl-en-v1")
    add_model(write_static(tmp_path / known.name, dim=1024))
    file = tmp_path / "b.tar"
    bundle.create_bundle((known.name,), file, nowhere)
    other_machine(monkeypatch, tmp_path, "other")

    done = bundle.install_bundle(file, nowhere)

    assert (done.models, done.workspace) == ((known.name,), None)
    assert models.find_spec(known.name) == known
    assert models.open_model(known.name).folder == store_folder(known.name)
    assert bundle.install_bundle(file, nowhere).present == (known.name,)


def test_installing_overwrites_nothing(indexed, tmp_path, monkeypatch):
    file = tmp_path / "b.tar"
    bundle.create_bundle((), file, indexed.layout, with_index=True)

    with pytest.raises(UsageError, match="There is already a workspace at"):
        bundle.install_bundle(file, indexed.layout)
    with pytest.raises(UsageError, match="already exists"):
        bundle.create_bundle(("tiny",), file, indexed.layout)

    remove_model("tiny")
    add_model(write_static(tmp_path / "else", seed=2), name="tiny")
    with pytest.raises(UsageError, match=r"another model 'tiny' .* models rm tiny"):
        bundle.install_bundle(file, Layout(tmp_path / "free"))
    assert not (tmp_path / "free").exists()


def test_what_cannot_be_bundled_is_said(tmp_path, tiny, nowhere):
    with pytest.raises(NotIndexedError, match="no complete index"):
        bundle.create_bundle((), tmp_path / "b.tar", nowhere, with_index=True)
    with pytest.raises(UsageError, match="Name a model"):
        bundle.create_bundle((), tmp_path / "b.tar", nowhere)
    assert not (tmp_path / "b.tar").exists()
    assert not nowhere.folder.exists()


@pytest.mark.parametrize("place", ["first", "list", "model", "index", "last"])
def test_a_flipped_bit_is_noticed_and_nothing_installed(
    indexed, tmp_path, monkeypatch, nowhere, place
):
    file = tmp_path / "b.tar"
    bundle.create_bundle((), file, indexed.layout, with_index=True)
    raw = bytearray(file.read_bytes())
    with tarfile.open(file) as archive:
        members = archive.getmembers()
    of = {member.name: member for member in members}
    weights = of["models/tiny/0_StaticEmbedding/model.safetensors"]
    head = of["index/head.json"]
    last = members[-1]
    at = {
        "first": 0,
        "list": of[NAME].offset_data + of[NAME].size // 2,
        "model": weights.offset_data + weights.size // 2,
        "index": head.offset_data + 20,
        "last": last.offset_data + last.size - 1,
    }[place]
    raw[at] ^= 1
    file.write_bytes(raw)
    other_machine(monkeypatch, tmp_path, "other")

    for attempt in (bundle.verify_bundle, lambda path: bundle.install_bundle(path, nowhere)):
        with pytest.raises(BundleError) as refused:
            attempt(file)
        assert str(file) in str(refused.value)
    assert left_behind() == []
    assert "tiny" not in models.load_specs()
    assert not nowhere.folder.exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9])
def test_a_bundle_that_is_cut_off_is_refused(indexed, tmp_path, share, nowhere):
    file = tmp_path / "b.tar"
    bundle.create_bundle((), file, indexed.layout, with_index=True)
    raw = file.read_bytes()
    file.write_bytes(raw[: int(len(raw) * share)])

    with pytest.raises(BundleError):
        bundle.verify_bundle(file)
    with pytest.raises(BundleError):
        bundle.install_bundle(file, nowhere)
    assert not nowhere.folder.exists()


@pytest.mark.parametrize("content", [b"", b"text", b"\0" * 10240])
def test_what_is_no_bundle_is_refused(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    for path in (tmp_path / "x", tmp_path, tmp_path / "missing"):
        with pytest.raises(BundleError, match=str(path)):
            bundle.verify_bundle(path)


def rewritten(file: Path, change) -> None:
    """Rewrite a bundle with another list, as an attacker would."""
    with tarfile.open(file) as archive:
        members: list[tuple[tarfile.TarInfo, bytes]] = []
        for member in archive.getmembers():
            file_inside = archive.extractfile(member)
            assert file_inside is not None
            members.append((member, file_inside.read()))
    value = json.loads(members[0][1])
    value.pop("digest")
    change(value, members)
    described = json.dumps({**value, "digest": fingerprint(value)}).encode()
    members[0] = (members[0][0], described)
    with tarfile.open(file, "w") as archive:
        for member, content in members:
            if member.isreg():
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.mark.parametrize(
    "name",
    ["../out", "models/tiny/../../out", "/out", "index/a/../../out", "models/other/x", "index/",
     "models/tiny/.", "models/tiny/a\nb", "out"],
)  # fmt: skip
def test_names_that_lead_out_are_refused(tmp_path, tiny, nowhere, name, monkeypatch):
    file = tmp_path / "b.tar"
    bundle.create_bundle((tiny,), file, nowhere)

    def change(value, members):
        value["members"][-1]["name"] = name
        members[-1][0].name = name

    rewritten(file, change)
    other_machine(monkeypatch, tmp_path, "other")

    with pytest.raises(BundleError, match="is refused: the name"):
        bundle.install_bundle(file, nowhere)
    assert left_behind() == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, tiny, nowhere, kind, monkeypatch):
    file = tmp_path / "b.tar"
    bundle.create_bundle((tiny,), file, nowhere)

    def change(_value, members):
        members[-1][0].type = kind
        members[-1][0].linkname = "/etc/passwd"
        members[-1][0].size = 0

    rewritten(file, change)
    other_machine(monkeypatch, tmp_path, "other")

    with pytest.raises(BundleError, match="does not match its list"):
        bundle.install_bundle(file, nowhere)
    assert left_behind() == []


def test_more_than_the_list_says_is_refused(tmp_path, tiny, nowhere):
    file = tmp_path / "b.tar"
    bundle.create_bundle((tiny,), file, nowhere)

    rewritten(file, lambda _value, members: members.append((tarfile.TarInfo("x"), b"x")))

    with pytest.raises(BundleError, match="contains more than its list names"):
        bundle.verify_bundle(file)


@pytest.mark.parametrize("key", ["format", "store_format"])
def test_a_bundle_of_a_newer_localembed_is_refused(tmp_path, tiny, nowhere, key):
    file = tmp_path / "b.tar"
    bundle.create_bundle((tiny,), file, nowhere)

    rewritten(file, lambda value, _members: value.__setitem__(key, 99))

    with pytest.raises(BundleError, match=r"has .*format 99; this localembed reads up to 1"):
        bundle.verify_bundle(file)


def test_a_bundled_model_that_asks_for_code_is_refused(tmp_path, tiny, nowhere, monkeypatch):
    folder = tmp_path / "tiny"
    file = tmp_path / "b.tar"
    evil = b'{"auto_map": {"AutoModel": "x.Y"}}'
    bundle.create_bundle((tiny,), file, nowhere)
    assert (folder / "config_sentence_transformers.json").exists()

    def change(value, members):
        from hashlib import sha256

        for place, (member, _) in enumerate(members):
            if member.name.endswith("config_sentence_transformers.json"):
                members[place] = (member, evil)
                entry = next(e for e in value["members"] if e["name"] == member.name)
                entry |= {"size": len(evil), "sha256": sha256(evil).hexdigest()}

    rewritten(file, change)
    other_machine(monkeypatch, tmp_path, "other")

    with pytest.raises(ModelRefusedError, match="has auto_map"):
        bundle.install_bundle(file, nowhere)
    assert left_behind() == []
    assert "tiny" not in models.load_specs()


def test_the_commands_say_what_they_did(indexed, tmp_path, real_cli, own_home):
    file = tmp_path / "b.tar"
    place = ("--workspace", indexed.folder)
    write_registry(own_home / "config", [models.find_spec("tiny")])

    made = real_cli("models", "bundle", "create", "--with-index", "-o", file, *place)
    checked = real_cli("models", "bundle", "verify", file, "--json")
    again = real_cli("models", "bundle", "install", file, "--workspace", tmp_path / "new")

    assert made.returncode == 0, made.stderr
    assert "tiny and an index of 2 chunks" in made.stdout
    assert "unencrypted" in made.stderr
    assert json.loads(checked.stdout)["models"] == ["tiny"]
    assert again.stdout.splitlines()[0] == "tiny is already installed"
    found = real_cli("query", "bread", "--workspace", tmp_path / "new", "--format", "paths")
    assert found.stdout.splitlines()[0].endswith("b.md")
    broken = real_cli("models", "bundle", "verify", tmp_path / "notes" / "a.md")
    assert (broken.returncode, "Traceback" in broken.stderr) == (4, False)
