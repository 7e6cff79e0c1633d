"""Malicious bundles: an attacker can compute a bundle's digest, too."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from localembed import models
from localembed.errors import (
    BundleError,
    LockedError,
    ModelChangedError,
    ModelRefusedError,
    RegistryError,
    UsageError,
)
from localembed.models import bundle
from localembed.models.add import add_model, staged
from localembed.models.blocks import checked_spec
from localembed.models.files import store_folder
from localembed.models.registry import user_registry
from tests.registry import write_registry
from tests.static_model import write_static
from tests.test_bundle import (  # noqa: F401 - fixtures
    indexed,
    left_behind,
    nowhere,
    other_machine,
    rewritten,
    tiny,
)


@pytest.fixture
def crafted(tmp_path, tiny, nowhere, monkeypatch):  # noqa: F811
    """Make a bundle, change its list, and move to a machine that has nothing."""

    def craft(change, *, with_members=False):
        file = tmp_path / "b.tar"
        bundle.create_bundle((tiny,), file, nowhere)
        rewritten(file, change if with_members else lambda value, _members: change(value))
        other_machine(monkeypatch, tmp_path, "other")
        return file

    return craft


def refused(file, nowhere, error, match):  # noqa: F811
    with pytest.raises(error, match=match):
        bundle.install_bundle(file, nowhere)
    assert left_behind() == []
    assert "tiny" not in models.load_specs()


def test_a_server_in_a_bundle_is_refused_and_told_no_key(crafted, server, nowhere, monkeypatch):  # noqa: F811
    monkeypatch.setenv("MY_PRIVATE_SECRET", "hunter2")
    block = {
        "backend": "openai", "base_url": server.url, "model": "m", "dim": 16, "max_tokens": 128,
        "api_key_env": "MY_PRIVATE_SECRET",
    }  # fmt: skip

    def change(value):
        value["models"]["tiny"] = block

    file = crafted(change)
    with pytest.raises(BundleError, match="is remote"):
        bundle.verify_bundle(file)
    refused(file, nowhere, BundleError, "is remote")
    assert server.requests == []


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "a/../../b", "./x", ""])
def test_a_pin_of_a_file_elsewhere_is_refused(crafted, nowhere, name):  # noqa: F811
    file = crafted(lambda value: value["models"]["tiny"].update(sha256={name: "0" * 64}))
    refused(file, nowhere, RegistryError, "sha256 must be a table")


def test_a_pin_that_is_wrong_installs_nothing(crafted, nowhere):  # noqa: F811
    file = crafted(lambda value: value["models"]["tiny"].update(sha256={"modules.json": "0" * 64}))
    refused(file, nowhere, ModelChangedError, "is not the file pinned for 'tiny'")


def test_a_bundle_without_pins_is_compared_with_ours(crafted, nowhere):  # noqa: F811
    block: dict[str, object] = {}

    def change(value):
        block.update(value["models"]["tiny"], sha256={})
        value["models"]["tiny"] = dict(block)

    file = crafted(change)
    known = checked_spec("here", "tiny", block)
    ours = replace(known, sources=("path:/nowhere",), sha256={"modules.json": "0" * 64})
    write_registry(user_registry().parent.parent, [ours])
    with pytest.raises(ModelChangedError, match=f"expected {'0' * 64}"):
        bundle.install_bundle(file, nowhere)
    assert not store_folder("tiny").exists()


@pytest.mark.parametrize("place", ["onnx/evil.py", "k/deep/evil.py", "notes.txt"])
def test_what_is_not_read_from_a_model_is_refused(crafted, nowhere, place):  # noqa: F811
    import hashlib
    import tarfile

    content = b"print('hello')"

    def change(value, members):
        name = f"models/tiny/{place}"
        entry = {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        value["members"].append(entry)
        members.append((tarfile.TarInfo(name), content))

    refused(crafted(change, with_members=True), nowhere, ModelRefusedError, r"evil\.py|notes\.txt")


NONSENSE = {
    "name 3": lambda v: v["members"][-1].update(name=3),
    "name null": lambda v: v["members"][-1].update(name=None),
    "size -1": lambda v: v["members"][-1].update(size=-1),
    "size 5.0": lambda v: v["members"][-1].update(size=5.0),
    "sha 3": lambda v: v["members"][-1].update(sha256=3),
    "chunks text": lambda v: v.update(chunks="x"),
    "chunks null": lambda v: v.update(chunks=None),
    "chunks -5": lambda v: v.update(chunks=-5),
    "format -1": lambda v: v.update(format=-1),
    "format true": lambda v: v.update(format=True),
    "members text": lambda v: v.update(members="x"),
    "models list": lambda v: v.update(models=[]),
    "twice": lambda v: v["members"].append(v["members"][-1]),
    "file and folder": lambda v: (
        v["members"].append({**v["members"][-1], "name": "models/tiny/a"})
        or v["members"].append({**v["members"][-1], "name": "models/tiny/a/b"})
    ),
    "long name": lambda v: v["members"][-1].update(name="models/tiny/" + "x" * 300),
    "deep name": lambda v: v["members"][-1].update(name="models/tiny/" + "x/" * 2000 + "x"),
    "no files": lambda v: v["models"].update(other=v["models"]["tiny"]),
}


@pytest.mark.parametrize("change", NONSENSE.values(), ids=NONSENSE.keys())
def test_a_list_that_makes_no_sense_is_refused(crafted, nowhere, change):  # noqa: F811
    file = crafted(change)
    with pytest.raises(BundleError):
        bundle.verify_bundle(file)
    refused(file, nowhere, BundleError, "b.tar")


@pytest.mark.parametrize("key", ["license", "query_prompt", "good_for"])
def test_text_that_no_file_can_hold_is_refused(crafted, nowhere, key):  # noqa: F811
    file = crafted(lambda value: value["models"]["tiny"].update({key: "\udcff"}))
    refused(file, nowhere, RegistryError, f"{key} must be text")


def test_a_list_without_an_end_is_refused(tmp_path):
    import io
    import tarfile

    for content in (b"[" * 200_000, b'{"a":' * 100_000):
        file = tmp_path / "x.tar"
        with tarfile.open(file, "w") as archive:
            member = tarfile.TarInfo("bundle.json")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        with pytest.raises(BundleError, match="cannot be read"):
            bundle.verify_bundle(file)


def test_no_link_is_written_through_and_the_mode_is_the_users(tmp_path, tiny, nowhere):  # noqa: F811
    victim, file = tmp_path / "victim", tmp_path / "b.tar"
    victim.write_text("precious")
    (tmp_path / ".b.tar.part").symlink_to(victim)
    bundle.create_bundle((tiny,), file, nowhere)
    assert victim.read_text() == "precious"
    assert not file.is_symlink()
    os.umask(umask := os.umask(0))
    assert file.stat().st_mode & 0o777 == 0o666 & ~umask
    (tmp_path / ".b.tar.part").unlink()
    assert not list(tmp_path.glob(".b.tar*"))


def test_of_two_that_write_one_bundle_one_is_refused(tmp_path, tiny, nowhere, monkeypatch):  # noqa: F811
    from localembed.models.bundle import creation

    file = tmp_path / "b.tar"
    together = threading.Barrier(2)
    write = creation._header

    def slowly(name, size):
        if name == "bundle.json":
            together.wait(10)
        return write(name, size)

    monkeypatch.setattr(creation, "_header", slowly)
    ends: list[str] = []

    def create():
        try:
            bundle.create_bundle((tiny,), file, nowhere)
            ends.append("written")
        except UsageError as error:
            ends.append(str(error))

    threads = [threading.Thread(target=create) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(end.split(" ")[-1] for end in ends) == ["-o.", "written"]
    assert bundle.verify_bundle(file).models[0].name == "tiny"
    assert not list(tmp_path.glob(".b.tar*"))


def test_a_folder_with_something_in_it_is_no_place_for_an_index(indexed, tmp_path, monkeypatch):  # noqa: F811
    from localembed.store.layout import Layout

    file, full, beside = tmp_path / "b.tar", tmp_path / "full", tmp_path / ".full.new"
    bundle.create_bundle((), file, indexed.layout, with_index=True)
    for folder in (full, beside):
        folder.mkdir()
        (folder / "mine").write_text("mine")
    other_machine(monkeypatch, tmp_path, "other")
    with pytest.raises(UsageError, match="is not empty"):
        bundle.install_bundle(file, Layout(full))
    assert left_behind() == []
    (full / "mine").unlink()
    bundle.install_bundle(file, Layout(full))
    assert (beside / "mine").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.glob(".full*")) == [".full.new"]


def test_no_folder_for_the_bundle_is_said(tmp_path, tiny, nowhere):  # noqa: F811
    with pytest.raises(UsageError, match="There is no folder"):
        bundle.create_bundle((tiny,), tmp_path / "none" / "b.tar", nowhere)


# Names


@pytest.mark.parametrize("name", ["../../good", "..", ".", "a b", "x\x1b[31m", "/abs", "", "-x"])
@pytest.mark.parametrize("copy", [True, False])
def test_a_name_that_leads_elsewhere_touches_nothing(tmp_path, name, copy):
    good = store_folder("good")
    good.mkdir(parents=True)
    (good / "mine").write_text("mine")
    folder = write_static(tmp_path / "tiny")
    with pytest.raises(UsageError, match="cannot be a model's name") if name else _added():
        add_model(folder, name=name, copy=copy)
    assert (good / "mine").read_text() == "mine"


def _added():
    """An empty name counts as none."""
    import contextlib

    return contextlib.nullcontext()


def test_a_folder_named_by_dots_has_its_own_name(tmp_path, monkeypatch):
    (store_folder("x").parent.parent / "workspace").mkdir(parents=True)
    folder = write_static(tmp_path / "tiny")
    (folder / "inner").mkdir()
    monkeypatch.chdir(folder / "inner")
    assert add_model(Path(".."), copy=True).name == "tiny"
    assert (store_folder("x").parent.parent / "workspace").is_dir()


def test_the_store_has_no_folder_outside_of_it():
    for name in ("..", "../x", "a/b", "/etc", "."):
        with pytest.raises(ValueError, match="is not a folder's name"):
            store_folder(name)


def test_two_that_add_a_model_do_not_take_each_others_files(tmp_path):
    folder = write_static(tmp_path / "tiny")
    with staged("tiny"), pytest.raises(LockedError, match="Wait until it is done"):
        add_model(folder, copy=True)
    assert add_model(folder, copy=True).name == "tiny"


@pytest.mark.parametrize("source", ["path:/" + "a" * 300, "path:~nobody-of-that-name/x"])
def test_a_source_that_cannot_be_is_a_source_that_is_not_there(own_home, source, real_cli):
    from localembed.models.registry import user_registry

    user_registry().parent.mkdir(parents=True, exist_ok=True)
    user_registry().write_text(
        f'[models.odd]\nbackend = "sentence-transformers"\nsources = ["{source}"]\ndim = 3\n'
        'max_tokens = 20\npooling = "mean"\nnormalize = true\nlicense = ""\n'
    )
    listed = real_cli("models", "list")
    assert listed.returncode == 0, listed.stderr
    assert "odd" in listed.stdout


def test_a_registry_without_an_end_is_refused(own_home, real_cli):
    from localembed.models.registry import user_registry

    user_registry().parent.mkdir(parents=True, exist_ok=True)
    user_registry().write_text("a=" + "[" * 3000)
    listed = real_cli("models", "list")
    assert (listed.returncode, "Traceback" in listed.stderr) == (4, False)


def test_who_forgets_the_model_of_an_index_is_told(indexed, real_cli, own_home):  # noqa: F811
    write_registry(own_home / "config", [models.find_spec("tiny")])
    gone = real_cli("models", "rm", "tiny", "--workspace", indexed.folder)
    assert gone.returncode == 0, gone.stderr
    assert "This workspace was indexed with it" in gone.stderr
