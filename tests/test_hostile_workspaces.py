"""Hostile workspaces: none reads, writes, moves or removes anything outside of its folder."""

from __future__ import annotations

import json
import math
import os
import resource
import shutil
import socket
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import localembed
from localembed.cli.render.status_page import status_text
from localembed.core.files import read_json, write_json
from localembed.errors import LocalembedError
from localembed.store.disk import hide_from_git
from localembed.store.manifest import Manifest
from localembed.types import json_forms
from localembed.workspace.workspace import Workspace
from tests import fake_backend
from tests.sweeps import sampled

TABLE = "chunks_0123456789ab"
_opened: list[str] = []
_watching = [""]


def _look(event, arguments):
    watched = _watching[0]
    if watched and event in ("open", "os.listdir", "os.scandir", "shutil.rmtree", "os.rename"):
        for path in arguments[:2]:
            name = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
            if name and os.path.realpath(name).startswith(watched):
                _opened.append(f"{event} {name}")


sys.addaudithook(_look)


@pytest.fixture(scope="module")
def pattern(tmp_path_factory):
    """An index of one note, to be copied, and what lies beside it: another program's data."""
    home = tmp_path_factory.mktemp("pattern-home")
    place = tmp_path_factory.mktemp("pattern")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("CONFIG", "DATA", "CACHE"):
            patch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))
        patch.setenv("LOCALEMBED_MODEL", "fake")
        fake_backend.register(home / "config")
        (place / "notes").mkdir()
        (place / "notes" / "a.md").write_text("Rotating api keys every month.")
        localembed.open(place / "notes").index()
    workspace = place / "notes" / ".localembed"
    outside = place / "outside"
    shutil.copytree(workspace / "vectors", outside / "vectors")
    (table,) = (outside / "vectors").iterdir()
    shutil.copytree(table, outside / "other.lance")
    shutil.copytree(workspace / "runs", outside / "runs")
    for name in ("manifest.duckdb", "head.json", "run.json", "config.toml"):
        shutil.copy(workspace / name, outside / name)
    (outside / "secret.md").write_text("The secret diary.")
    (outside / ".key").write_text("A hidden key.")
    return place


class Place:
    """A copy of the pattern: a folder with a hostile workspace, and what lies outside of it."""

    def __init__(self, folder: Path) -> None:
        self.notes, self.outside = folder / "notes", folder / "outside"
        self.workspace = self.notes / ".localembed"
        self.table = next((self.workspace / "vectors").iterdir(), self.workspace)

    def link(self, name: str, target: str) -> None:
        path = self.workspace / name
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.parent.mkdir(exist_ok=True)
        path.symlink_to(self.outside / target)

    def config(self, text: str = "", root: str = "", path: object = None) -> None:
        """Prepend settings to config.toml, or replace the root's path and append to its block."""
        config = self.workspace / "config.toml"
        lines = [
            f"path = {json.dumps(str(path))}" if path and line.startswith("path =") else line
            for line in config.read_text().splitlines()
        ]
        config.write_text("\n".join([text, *lines, root, ""]))

    def head(self, name: str) -> None:
        raw = read_json(self.workspace / "head.json")
        (entry,) = raw["tables"].values()
        write_json(self.workspace / "head.json", {**raw, "default": name, "tables": {name: entry}})

    def manifest(self, sql: str, *values: object) -> None:
        import duckdb

        with duckdb.connect(str(self.workspace / "manifest.duckdb")) as connection:
            connection.execute(sql, list(values))


@pytest.fixture
def place(pattern, tmp_path, fake):
    folder = tmp_path / "place"
    shutil.copytree(pattern, folder)
    for config in (folder / "notes" / ".localembed").glob("config.toml"):
        config.write_text(config.read_text().replace(str(pattern), str(folder)))
    return Place(folder)


def snapshot(folder: Path) -> dict[str, tuple[object, ...]]:
    return {
        path.relative_to(folder).as_posix(): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            path.lstat().st_ino,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(folder.rglob("*"))
    }


def use(place: Place) -> list[str]:
    """Do with a workspace everything that reads or writes it; return what was said."""
    said: list[str] = []
    codes: set[int] = set()
    workspace = Workspace(place.workspace)
    steps = (
        workspace.status,
        lambda: workspace.query("api", mode="text", top_k=3),
        workspace.index,
        lambda: localembed.doctor(workspace, deep=True, repair=True),
        lambda: workspace.history.collect_garbage(1),
        lambda: workspace.show(str(place.notes / "a.md")),
        lambda: workspace.remove(place.notes / "a.md"),
    )
    for step in steps:
        try:
            step()
        except LocalembedError as error:
            codes.add(error.exit_code)
            said.append(str(error))
    assert codes <= {2, 4, 5}, said
    return said


LINKS = {
    "vectors": "vectors", "runs": "runs", "manifest.duckdb": "manifest.duckdb",
    "manifest.duckdb.wal": "secret.md", "head.json": "head.json", "run.json": "run.json",
    "models.toml": "secret.md", "pending": "vectors", "pending/0123456789abcdef.sqlite":
    "secret.md", "writer.lock": "secret.md", "damaged": "vectors", ".gitignore": "secret.md",
    f"failures-{TABLE}.json": "secret.md", "config.toml": "config.toml", "runs/1.json": "head.json",
    "runs/tags.json": "secret.md", "other": "secret.md",
    f"vectors/{TABLE}.lance": "other.lance", "vectors/theirs.lance": "other.lance",
    "TABLE": "other.lance", "TABLE/data": "other.lance/data",
    "TABLE/_versions": "other.lance/_versions", "TABLE/_indices": "other.lance/_indices",
    "TABLE/_refs": "vectors", "TABLE/tree": "vectors", "TABLE/_deletions": "vectors",
    "TABLE/data/extra.lance": "secret.md", "damaged/1-x": "vectors",
}  # fmt: skip


@pytest.mark.parametrize("name", LINKS)
def test_no_link_is_followed(place, name):
    place.link(name.replace("TABLE", f"vectors/{place.table.name}", 1), LINKS[name])
    said = assert_nothing_outside(place)
    assert any("is a link" in sentence for sentence in said), said


@pytest.mark.parametrize("name", ["runs/2.json", "new.lock", "pending", "TABLE/tree"])
def test_a_link_that_leads_nowhere_is_damage_and_not_followed(place, name):
    place.link(name.replace("TABLE", f"vectors/{place.table.name}", 1), "missing")
    before = snapshot(place.outside)

    assert Workspace(place.workspace).index().exit_code == 0

    assert snapshot(place.outside) == before


@pytest.mark.parametrize("name", ["vectors", "TABLE", "TABLE/data", "TABLE/_deletions", "runs"])
def test_no_link_that_leads_somewhere_later_is_followed(place, name, monkeypatch):
    """Another user may make the folder that it names, when the run has begun."""
    path = place.workspace / name.replace("TABLE", f"vectors/{place.table.name}", 1)
    shutil.rmtree(path, ignore_errors=True)
    late = place.outside / "late"
    path.symlink_to(late)

    def late_folder(layout):
        late.mkdir(exist_ok=True)
        hide_from_git(layout)

    monkeypatch.setattr("localembed.store.lock.hide_from_git", late_folder)
    (place.notes / "b.md").write_text("another note")
    workspace = Workspace(place.workspace)
    for step in (workspace.index, lambda: localembed.doctor(workspace, repair=True)):
        with suppress(LocalembedError):
            step()

    assert list(late.rglob("*")) == []
    assert not path.is_symlink()


def test_no_mode_of_a_file_elsewhere_is_changed(place):
    (place.outside / "secret.md").chmod(0o644)
    os.link(place.outside / "secret.md", place.workspace / "runs" / "9.json")
    assert_nothing_outside(place)


ROOTS = {
    "another folder": lambda place: place.outside,
    "above": lambda place: place.notes.parent,
    "dots": lambda place: f"{place.notes}/../outside",
    "dots after a folder": lambda place: f"{place.notes}/b/../../outside",
    "everything": lambda _: "/",
    "beside": lambda place: f"{place.notes}-2/../outside",
    "double slash": lambda place: f"/{place.outside}",
    "a file": lambda place: place.outside / "secret.md",
    "a hidden file": lambda place: place.outside / ".key",
    "through a link": lambda place: place.notes / "link",
    "below a link": lambda place: place.notes / "link" / "vectors",
    "a link to a link": lambda place: place.notes / "link2",
}


@pytest.mark.parametrize("name", ROOTS)
def test_no_root_elsewhere_is_read(place, name):
    (place.notes / "link").symlink_to(place.outside)
    (place.notes / "link2").symlink_to("link")
    place.config(path=ROOTS[name](place), root="hidden = true\nno_ignore = true")
    said = assert_nothing_outside(place)
    assert any("reaches outside of its own folder: the root" in s for s in said), said


@pytest.mark.parametrize(
    ("top", "block"),
    [
        ("", 'path_hex = "{outside}"'),
        ("", "sql = \"SELECT * FROM read_text('/etc/passwd')\""),
        ("", 'url = "s3://bucket"'),
        ('vectors = "/elsewhere"', ""),
        ('target = "postgresql://host/db"', ""),
        ("allow_network = true", ""),
        ('model = "no-such-model"', ""),
        ("format = 99", ""),
        ('id = ["x"]', ""),
        ('forgotten = ["../x"]', ""),
        ("", 'id = "\' OR 1=1 --"'),
        ("roots = 3", ""),
        ("", 'exclude = ["/../../outside/**"]\ninclude = ["../../outside/*"]'),
    ],
)
def test_no_key_of_the_config_reaches_outside(place, top, block):
    place.config(top, block.replace("{outside}", os.fsencode(place.outside).hex()))
    assert_nothing_outside(place)


@pytest.mark.parametrize(
    "name",
    sampled(
        ["../../../outside/other", "../../../../x", "OUTSIDE/other", "..", "other", "", TABLE], 6
    ),
)
@pytest.mark.parametrize("where", ["head", "runs", "manifest", "files"])
def test_no_table_elsewhere_is_opened_moved_or_removed(place, name, where):
    name = name.replace("OUTSIDE", str(place.outside))
    if where == "head":
        place.head(name)
    elif where == "runs":
        (place.workspace / "head.json").unlink()
        record = place.workspace / "runs" / "1.json"
        write_json(record, {**read_json(record), "table": name})
    elif where == "manifest":
        place.manifest("INSERT INTO tables VALUES (?, 'u', 1)", name)
        place.manifest("INSERT INTO lance_files VALUES (?, 'data/x', 1, 'x')", name)
    else:
        place.head(place.table.stem)
        lost = f"{name}.lance/../../../../outside/secret.md"
        place.manifest(
            "INSERT INTO lance_files VALUES (?, ?, 1, '0123456789abcdef')", place.table.stem, lost
        )
    assert_nothing_outside(place)


@pytest.mark.parametrize(
    "facts",
    sampled(
        [
            {"ended": False},
            {"ended": False, "sync_failed": True},
            {"ended": True, "durable": True, "sync_failed": True, "pid": 1},
            {"pid": -1, "run": "../../../x"},
            [],
        ],
        3,
    ),
)
@pytest.mark.parametrize("signed", [True, False])
def test_a_heartbeat_moves_nothing_of_other_programs(place, facts, signed):
    theirs = place.workspace / "vectors" / "theirs.lance"
    shutil.copytree(place.outside / "other.lance", theirs)
    before = snapshot(theirs)
    if signed and isinstance(facts, dict):
        write_json(place.workspace / "run.json", facts)
    else:
        (place.workspace / "run.json").write_text(json.dumps(facts))

    assert_nothing_outside(place)

    assert snapshot(theirs) == before


@pytest.mark.parametrize("name", ["head.json", "run.json", "config.toml", "runs/1.json", "x"])
@pytest.mark.parametrize("kind", ["fifo", "socket"])
def test_nothing_waits_for_a_fifo_or_a_socket(place, name, kind):
    path = place.workspace / name
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    else:
        os.chdir(path.parent)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    said = assert_nothing_outside(place)
    assert any("is a link or a device" in sentence for sentence in said), said


@pytest.mark.parametrize("name", ["manifest.duckdb", "writer.lock", "pending/x.sqlite"])
def test_no_hard_link_is_written_through(place, name):
    path = place.workspace / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    os.link(place.outside / "manifest.duckdb", path)
    (place.notes / "b.md").write_text("another note")
    said = assert_nothing_outside(place)
    assert any("is a hard link" in sentence for sentence in said), said


@pytest.mark.parametrize("version", ["newest", "pinned"])
@pytest.mark.parametrize(
    "name", sampled(["{newest_first}", "{number}", "00{number}", "+{number}"], 2)
)
def test_no_table_with_files_elsewhere_is_opened(place, version, name):
    """A shallow clone keeps its rows in the table that it was made of."""
    import lancedb

    table = place.table.stem
    shutil.rmtree(place.table)
    vectors = lancedb.connect(place.workspace / "vectors")
    vectors.clone_table(table, str(place.outside / "other.lance"), is_shallow=True)
    if version == "pinned":
        vectors.open_table(table).delete("false")
    newest = vectors.open_table(table).version
    for path in (place.table / "_versions").glob("*.manifest"):
        number = 2**64 - 1 - int(path.stem)
        path.rename(path.with_stem(name.format(newest_first=path.stem, number=number)))
    raw = read_json(place.workspace / "head.json")
    raw["tables"][table]["lance_version"] = newest
    write_json(place.workspace / "head.json", raw)

    said = assert_nothing_outside(place)

    assert any("names files outside of the table" in sentence for sentence in said), said


def mutants(value, path=()):
    """Yield the place of each value in nested dicts."""
    if isinstance(value, dict):
        for key in value:
            yield (*path, key)
            yield from mutants(value[key], (*path, key))


def with_value(whole, path, new):
    """Return a nested dict with another value in one place."""
    if not path:
        return new
    return {**whole, path[0]: with_value(whole[path[0]], path[1:], new)}


@pytest.mark.parametrize("name", ["head.json", "run.json", "runs/1.json"])
@pytest.mark.parametrize("new", [None, "../../outside/x", -1, 1.5, [], {}, 2**70, math.inf])
def test_no_value_of_its_files_ends_in_a_traceback(place, name, new):
    path = place.workspace / name
    facts = read_json(path)
    for where in list(mutants(facts)):
        write_json(path, with_value(facts, where, new), sync=False)
        workspace = Workspace(place.workspace)
        with suppress(LocalembedError):
            shown = workspace.status()
            assert status_text(shown), json_forms.status_json(shown)
        with suppress(LocalembedError):
            assert json_forms.versions_json(workspace.history.versions())
    if name == "head.json":
        space = with_value(facts, ("tables", place.table.stem, "space_id"), new)
        write_json(path, space)
        (place.workspace / "pending").mkdir()
        with pytest.raises(LocalembedError):
            workspace.remove(place.notes / "a.md")


NESTED = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *((name, f'{{"a": {NESTED}}}') for name in ("head.json", "run.json", "runs/1.json")),
        ("runs/tags.json", f'{{"a": {NESTED}}}'),
        ("config.toml", f"a = {NESTED}"),
        ("models.toml", f"a = {NESTED}"),
        ("config.toml", f"a = {NESTED[100_000 - 300 : 100_000 + 300]}"),
    ],
)
def test_no_depth_of_its_files_ends_in_a_traceback(place, name, text):
    (place.workspace / name).write_text(text)
    assert_nothing_outside(place)


@pytest.mark.parametrize("name", ["config.toml", "models.toml", "head.json", "runs/1.json"])
def test_no_size_of_its_files_fills_the_memory(place, name):
    with (place.workspace / name).open("ab") as file:
        file.truncate(4 << 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert_nothing_outside(place)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20, "in KiB"


def test_the_pattern_itself_is_used_without_a_question(place):
    (place.notes / "b.md").write_text("another note")
    assert assert_nothing_outside(place) == []
    assert Manifest(Workspace(place.workspace).layout).problem() is None


def assert_nothing_outside(place: Place) -> list[str]:
    """Use the workspace, and compare what lies outside with what was there."""
    before = snapshot(place.outside)
    _opened.clear()
    _watching[0] = str(place.outside.resolve())
    try:
        said = use(place)
    finally:
        _watching[0] = ""
        with suppress(OSError):
            os.chdir("/")
    assert _opened == []
    assert snapshot(place.outside) == before
    assert {path.name for path in place.notes.parent.iterdir()} == {"notes", "outside"}
    return said
