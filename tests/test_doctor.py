"""What is damaged is found, named with the documents it costs, and fixed by embedding just those.

The sweep over every kind of file and every way to break it is `tests/slow/test_bit_flips.py`.
"""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import localembed
from localembed import doctor
from localembed.errors import StorageError
from localembed.store.head import read_head
from localembed.store.lance.connection import connect
from localembed.store.lance.disk_names import manifest_path
from localembed.store.manifest import Manifest
from localembed.types.events import RunEvent, Step
from tests.conftest import all_rows, paragraphs
from tests.damage import damage, file_of, grow
from tests.test_crash import assert_equals_clean_build


@pytest.fixture
def grown(workspace, notes, fake):
    grow(workspace, notes)
    fake.embedded.clear()
    return workspace


def found(checkup, verdict: str) -> dict[str, str]:
    return {f.check: f.text for f in checkup.findings if f.verdict == verdict}


def state_of(workspace) -> dict[str, bytes]:
    files = (path for path in workspace.folder.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in files}


def test_a_sound_workspace_is_said_to_be_sound_and_nothing_is_written(grown):
    before = state_of(grown)

    checkup = doctor(grown, deep=True)

    assert checkup.verdict == "ok", checkup
    assert {f.check for f in checkup.findings} == {
        "lock", "disk", "runs", "head", "manifest", "files", "versions", "rows", "vectors",
        "text index", "model", "device", "drift", "leftovers",
    }  # fmt: skip
    assert state_of(grown) == before


def test_a_flipped_bit_costs_its_documents_and_no_more(grown, notes, fake, tmp_path):
    broken = file_of(grown, "data", seed=1)  # the rows of the second run: one file
    damage(broken, "flip", seed=5)
    assert doctor(grown).verdict == "ok", "only reading everything can tell"

    checkup = doctor(grown, deep=True)

    (finding,) = [f for f in checkup.findings if f.verdict == "wrong"]
    assert (finding.check, finding.fix) == ("files", "localembed doctor --deep --repair")
    assert finding.paths == (f"data/{broken.name}: changed", str(notes / "1.md"))
    fake.embedded.clear()
    fixed = doctor(grown, deep=True, repair=True)
    assert (fixed.verdict, found(fixed, "wrong")) == ("note", {})
    assert [f.check for f in fixed.findings if f.verdict == "note"] == ["leftovers"]
    assert any("Removed 1 document;" in line for line in fixed.fixed)
    assert_equals_clean_build(grown, notes, tmp_path)


@pytest.mark.parametrize("way", ["cut", "gone"])
def test_without_deep_a_file_of_another_size_is_noticed(grown, notes, tmp_path, way):
    damage(file_of(grown, "data"), way)

    assert "files" in found(doctor(grown), "wrong")
    assert not found(doctor(grown, repair=True), "wrong")
    assert_equals_clean_build(grown, notes, tmp_path)


def test_a_lost_deletion_file_brings_nothing_back(grown, notes, tmp_path):
    damage(file_of(grown, "deletions"), "gone")
    assert "files" in found(doctor(grown), "wrong")

    assert not found(doctor(grown, repair=True), "wrong")

    assert_equals_clean_build(grown, notes, tmp_path)


def test_a_lost_index_is_made_anew_and_nothing_embedded(grown, notes, fake, tmp_path):
    damage(file_of(grown, "indices"), "gone")

    assert not found(doctor(grown, repair=True), "wrong")

    drift_sample = len(all_rows(grown))
    assert len(fake.embedded) == drift_sample, "nothing else was embedded"


def test_a_lost_head_is_put_together_from_the_records_of_runs(grown, notes, fake, tmp_path):
    before = read_head(grown.layout)
    grown.layout.head.write_text("{")
    (finding,) = [f for f in doctor(grown).findings if f.verdict == "wrong"]
    assert (finding.check, finding.fix) == ("head", "localembed doctor --repair")

    assert not found(doctor(grown, repair=True), "wrong")

    assert read_head(grown.layout) == before
    assert_equals_clean_build(grown, notes, tmp_path)


def test_rows_that_are_there_twice_are_found_and_fixed(grown, notes, tmp_path):
    layout = grown.layout
    handle = connect(layout.vectors).open_table(read_head(layout).default)
    rows = handle.search().where("path = 'new.md'").limit(2).to_arrow()
    handle.add(rows.select(handle.schema.names))
    publish_as_it_is(grown, handle)
    assert "2 chunks stored twice" in found(doctor(grown), "wrong")["rows"]

    assert not found(doctor(grown, repair=True), "wrong")

    assert_equals_clean_build(grown, notes, tmp_path)


def test_vectors_that_nothing_can_find_are_found_and_fixed(grown, notes, tmp_path):
    layout = grown.layout
    handle = connect(layout.vectors).open_table(read_head(layout).default)
    handle.update(where="path = '2.md' AND ord = 1", values={"vector": [0.0] * 32})
    publish_as_it_is(grown, handle)
    assert "1 of" in found(doctor(grown, deep=True), "wrong")["vectors"]

    assert not found(doctor(grown, deep=True, repair=True), "wrong")

    assert_equals_clean_build(grown, notes, tmp_path)


def publish_as_it_is(workspace, handle) -> None:
    """Let head.json and the manifest name a version that localembed did not make."""
    from dataclasses import replace

    from localembed.store.fsync import FsyncTracker
    from localembed.store.head import publish_head
    from localembed.store.manifest import TableMark

    layout, name = workspace.layout, handle.name
    entry = read_head(layout).tables[name]
    version, rows = handle.version, handle.count_rows()
    entry = replace(entry, lance_version=version, chunks=rows)
    publish_head(layout, read_head(layout).with_table(name, entry, default=True))
    manifest = Manifest(layout)
    synced = FsyncTracker(layout.table(name), manifest.stored_files(name)).sync()
    manifest.commit(name, mark=TableMark(entry.uuid, version), synced=synced)


def test_a_table_that_nothing_opens_is_set_aside_and_built_again(grown, notes, tmp_path):
    shutil.rmtree(file_of(grown, "newest version").parent)

    fixed = doctor(grown, repair=True)

    assert not found(fixed, "wrong")
    assert_equals_clean_build(grown, notes, tmp_path)


def test_a_tag_whose_version_is_gone_is_said(grown):
    (tagged,) = [v for v in grown.history.versions() if v.tags]
    manifest_path(grown.layout.table(tagged.table), tagged.entry.lance_version).unlink()

    (finding,) = [f for f in doctor(grown).findings if f.verdict == "wrong"]

    assert (finding.check, finding.fix) == ("tags", "localembed doctor --repair")
    checkup = doctor(grown, repair=True)
    assert checkup.verdict == "ok"
    assert checkup.fixed[0] == "Removed the tag good: its version is lost"


def test_a_model_that_changed_is_said(grown, own_home):
    (own_home / "config" / "fake-model" / "config.json").write_text('{"other": 1}')

    assert "not those the index was built with" in found(doctor(grown), "wrong")["model"]


def test_a_model_that_gives_other_vectors_is_said(grown, fake, monkeypatch):
    real = fake._vector
    turned = np.roll(np.eye(32, dtype=np.float32), 1, axis=0)
    monkeypatch.setattr(fake, "_vector", lambda self, ids: turned @ real(self, ids))

    assert "not comparable with the stored ones" in found(doctor(grown), "wrong")["drift"]


def test_a_workspace_without_an_index_is_well(notes, fake):
    workspace = localembed.open(notes)

    assert (doctor(workspace).verdict, doctor(workspace, repair=True).fixed) == ("ok", ())


def test_a_manifest_that_is_gone_is_rebuilt_by_a_repair(grown):
    grown.layout.manifest.unlink()
    assert doctor(grown).verdict == "wrong"

    checkup = doctor(grown, repair=True)

    assert (checkup.verdict, grown.layout.manifest.exists()) == ("ok", True)


def test_a_run_that_was_cut_off_is_no_damage(grown, notes, run_cli):
    (notes / "more.md").write_text(paragraphs(3, "more"))
    assert run_cli("index", "-q", cwd=notes, env={"STOP_AT": "recorded:1"}).returncode == -9

    checkup = doctor(grown)

    assert (checkup.verdict, found(checkup, "wrong")) == ("note", {})
    assert {"lock", "versions"} <= set(found(checkup, "note"))
    grown.index()
    assert found(doctor(grown), "note") == {}


def test_a_refresh_that_was_cut_off_is_not_shown_by_a_repair(grown, notes, run_cli):
    head = read_head(grown.layout)
    (notes / "more.md").write_text(paragraphs(3, "more"))
    assert run_cli("index", "-q", cwd=notes, env={"STOP_AT": "recorded:1"}).returncode == -9

    assert doctor(grown, repair=True).fixed == ()

    assert read_head(grown.layout) == head


def test_during_a_run_only_what_is_published_counts(grown, notes):
    verdicts = []

    def look(event: RunEvent) -> None:
        if event.step in (Step.ADDED, Step.SYNCED, Step.RECORDED, Step.PUBLISHED):
            verdicts.append(found(doctor(grown), "wrong"))

    (notes / "more.md").write_text(paragraphs(3, "more"))
    grown.index(on_event=look)

    assert len(verdicts) >= 4
    assert not any(verdicts)


def test_a_disk_without_hard_links_is_refused_before_anything_is_written(
    notes, fake, monkeypatch, tmp_path
):
    import localembed

    def refuse(*_arguments):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("localembed.store.disk.os.link", refuse)
    (notes / "a.md").write_text("words")
    with pytest.raises(StorageError, match="has no hard links"):
        localembed.Workspace(tmp_path / "usb" / "index").index([notes])
    assert not (tmp_path / "usb" / "index").exists()


def test_the_command_tells_with_its_exit_code(grown, notes, run_cli):
    done = run_cli("doctor", cwd=notes)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "ok     lock          No run is in progress; the last run finished"
    assert lines[-1] == "No problems found"
    damage(file_of(grown, "data"), "cut")

    done = run_cli("doctor", "--json", cwd=notes)

    assert done.returncode == 5
    shown = json.loads(done.stdout)
    assert shown["verdict"] == "wrong"
    assert {f["check"] for f in shown["findings"] if f["verdict"] == "wrong"} >= {"files"}
    done = run_cli("doctor", "--repair", cwd=notes)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("fixed Moved data/")
    assert sorted(all_rows(grown)), "and the rows are there"
