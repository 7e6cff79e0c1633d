"""Bundles that an attacker made, with right hashes and a right digest: nothing of them stays."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile

import pytest

from localembed import models
from localembed.core.hashing import fingerprint
from localembed.errors import LocalembedError
from localembed.models import bundle
from localembed.models.bundle import contents as list_of_contents
from localembed.store.layout import Layout
from tests.test_bundle import (  # noqa: F401 - fixtures
    indexed,
    left_behind,
    other_machine,
    tiny,
)


class Bundle:
    """A bundle that can be changed, as its author can: names and contents, in their order."""

    def __init__(self, file):
        with tarfile.open(file) as archive:
            self.files: dict[str, bytes] = {}
            for member in archive.getmembers():
                stream = archive.extractfile(member)
                assert stream is not None
                self.files[member.name] = stream.read()
        self.value = json.loads(self.files.pop("bundle.json"))
        self.value.pop("digest")
        self.raw_list = None
        self.headers = {}
        self.tail = b""

    def json(self, name, change):
        found = json.loads(self.files[name])
        found.pop("_xxh3", None)
        change(found)
        self.files[name] = json.dumps({**found, "_xxh3": fingerprint(found)}).encode()

    def head(self, change):
        self.json("index/head.json", change)

    def config(self, text):
        self.files["index/config.toml"] = text.encode()

    def write(self, file):
        self.value["members"] = [
            {"name": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in self.files.items()
        ]
        listed = json.dumps({**self.value, "digest": fingerprint(self.value)}).encode()
        listed = self.raw_list or listed
        with tarfile.open(file, "w", format=tarfile.GNU_FORMAT) as archive:
            for name, data in {"bundle.json": listed, **self.files}.items():
                header = tarfile.TarInfo(name)
                header.size = len(data)
                self.headers.get(name, lambda header: None)(header)
                archive.addfile(header, io.BytesIO(data))
        with file.open("ab") as more:
            more.write(self.tail)


def added(name, data=b"x"):
    return lambda b: b.files.update({name: data})


def table_named(name):
    def change(b):
        def rename(head):
            (old,) = head["tables"]
            head["tables"][name] = head["tables"].pop(old)
            head["default"] = name

        b.head(rename)

    return change


def root(**keys):
    text = "\n".join(f"{key} = {value}" for key, value in keys.items())
    return lambda b: b.config(f"format = 1\n[[roots]]\n{text}\n")


def typed(kind):
    def change(b):
        name = next(name for name in b.files if name.startswith("index/vectors/"))

        def turn(header):
            header.type, header.linkname = kind, "/etc/passwd"

        b.headers[name] = turn

    return change


def run_of_table(name):
    def change(b):
        record = next(n for n in b.files if n.startswith("index/runs/") and "tags" not in n)
        b.json(record, lambda value: value.update(table=name))

    return change


def listed(text):
    def change(b):
        b.raw_list = text

    return change


HOSTILE = {
    "models.toml in the index": added("index/models.toml", b"[models.x]\n"),
    "a pending answer": added("index/pending/x.db"),
    "a lock": added("index/writer.lock"),
    "a heartbeat": added("index/run.json", b'{"ended": false}'),
    "a log beside the manifest": added("index/manifest.duckdb.wal"),
    "a folder of set-aside files": added("index/damaged/x"),
    "failures": added("index/failures-chunks_0123456789ab.json", b"{}"),
    "a hidden file": added("index/.gitignore"),
    "a run without a number": added("index/runs/x.json", b"{}"),
    "a run below a folder": added("index/runs/1/2.json", b"{}"),
    "a table of another name": added("index/vectors/other.lance/data/x.lance"),
    "a file beside the tables": added("index/vectors/x"),
    "a table outside": added("index/vectors/../../x"),
    "an absolute name": added("/index/config.toml"),
    "a name with two slashes": added("index//config.toml"),
    "a name with a backslash": added("index\\config.toml"),
    "a name that goes up by a backslash": added("index/vectors/..\\..\\x"),
    "a name with a drive": added("C:/x"),
    "a name with an escape": added("index/runs/\x1b[2J.json"),
    "a name beyond bounds": added("index/vectors/chunks_0123456789ab.lance/" + "x" * 300),
    "a twin by case": added("index/Config.toml"),
    "a twin of a folder by case": added("index/Runs/1.json"),
    "a twin by accents": lambda b: b.files.update(
        {"models/tiny/é.safetensors": b"x", "models/tiny/e\u0301.safetensors": b"x"}
    ),
    "a file of a model that is not read": added("models/tiny/run.sh"),
    "a pickle": added("models/tiny/pytorch_model.bin"),
    "code": added("models/tiny/modeling.py"),
    "a file of a model that is not listed": added("models/other/config.json"),
    "a symbolic link": typed(tarfile.SYMTYPE),
    "a hard link": typed(tarfile.LNKTYPE),
    "a FIFO": typed(tarfile.FIFOTYPE),
    "a device": typed(tarfile.CHRTYPE),
    "a folder": typed(tarfile.DIRTYPE),
    "a sparse file": typed(tarfile.GNUTYPE_SPARSE),
    "a head with a table elsewhere": table_named("../../../x"),
    "a head with an absolute table": table_named("/tmp/x"),
    "a head with a table that is not there": table_named("chunks_0123456789ab"),
    "a head without tables": lambda b: b.head(lambda head: head.update(tables={}, default=None)),
    "a head with a list": lambda b: b.head(lambda head: head.update(tables=[])),
    "a head with a version of text": lambda b: b.head(
        lambda head: next(iter(head["tables"].values())).update(lance_version="1; x")
    ),
    "a head that is damaged": added("index/head.json", b'{"format": 1}'),
    "a head of 5 MB": added("index/head.json", b" " * (5 << 20)),
    "a run of a table elsewhere": run_of_table("../../../x"),
    "a run of a list": run_of_table([]),
    "a root without an id": root(path='"/home"'),
    "a root with an id that is a path": root(id='"../x"', path='"/home"'),
    "a root with an unknown key": root(id='"ab"', path='"/home"', command='"rm"'),
    "a root with a number for a path": root(id='"ab"', path="3"),
    "roots that are no list": lambda b: b.config("format = 1\nroots = 3\n"),
    "a table of settings": lambda b: b.config("format = 1\n[models.x]\na = 1\n"),
    "a config that is no TOML": lambda b: b.config("[[[\n"),
    "a config of a newer format": lambda b: b.head(lambda head: head.update(format=99)),
    "more behind the end": lambda b: setattr(b, "tail", b"more" * 128),
    "a list of empty entries": listed(b'{"members": [' + b"{}," * 700_000 + b"{}]}"),
    "a list of nested lists": listed(b"[" * 900_000),
    "a list that is too large": listed(b" " * (17 << 20)),
}


@pytest.fixture
def made(tmp_path, indexed, monkeypatch):  # noqa: F811
    """Make a bundle with an index, and move to a machine that has nothing."""
    file = tmp_path / "b.tar"
    bundle.create_bundle((), file, indexed.layout, with_index=True)
    other_machine(monkeypatch, tmp_path, "other")
    return file


def everything(folder):
    return {os.fsdecode(path) for path in folder.rglob("*")}


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_bundle_leaves_nothing(tmp_path, made, change, monkeypatch):
    opened = Bundle(made)
    change(opened)
    opened.write(made)
    parsed: list[int] = []
    load = json.loads
    monkeypatch.setattr("json.loads", lambda data: parsed.append(len(data)) or load(data))
    before = everything(tmp_path)
    place = Layout(tmp_path / "elsewhere" / ".localembed")

    with pytest.raises(LocalembedError, match=r"b\.tar"):
        bundle.install_bundle(made, place)

    own = str(tmp_path / "other")
    assert {p for p in everything(tmp_path) - before if not p.startswith(own)} == set()
    assert left_behind() == []
    assert "tiny" not in models.load_specs()
    # Bounded: no list of more values than a bundle may have was parsed, so none took memory.
    assert max(parsed, default=0) <= list_of_contents.MAX_JSON_BYTES
    if opened.raw_list is not None:
        assert opened.raw_list[:1] not in (b"{", b"[", b" ") or not any(
            size == len(opened.raw_list) for size in parsed
        )


def test_an_unchanged_bundle_is_installed(tmp_path, made):
    opened = Bundle(made)
    opened.write(made)
    place = Layout(tmp_path / "elsewhere" / ".localembed")
    assert bundle.install_bundle(made, place).workspace == place.folder


def test_a_header_of_any_size_takes_no_memory(tmp_path):
    """A long name of gigabytes, as far as the header says: nothing of it is read."""
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE):
        header = tarfile.TarInfo("bundle.json")
        header.type, header.size = kind, 8 << 30
        file = tmp_path / "b.tar"
        with file.open("wb") as output:
            output.write(header.tobuf(tarfile.GNU_FORMAT))
            output.truncate(8 << 30)
        with pytest.raises(LocalembedError, match=r"b\.tar"):
            bundle.verify_bundle(file)


def test_create_writes_no_file_that_install_refuses(tmp_path, indexed):  # noqa: F811
    for name in ("models.toml", "notes.txt", "vectors/x", "runs/x.json", "runs/.1.json.tmp"):
        (indexed.folder / name).write_text("")
    found = bundle.create_bundle((), tmp_path / "b.tar", indexed.layout, with_index=True)
    names = {member.name for member in found.members if member.name.startswith("index/")}
    kept = {name for name in names if not name.startswith("index/vectors/")}
    assert kept == {f"index/{n}" for n in ("config.toml", "head.json", "manifest.duckdb",
                                           "runs/1.json")}  # fmt: skip
    assert all("/chunks_" in name for name in names - kept)
