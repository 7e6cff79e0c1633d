"""What a power cut can leave behind, made by hand; `tests/slow/test_power_cut.py` makes real ones.

After a reboot everything above the last version that is known to be on disk may be torn, even if it
opens; after a mere kill it is sound and kept.
"""

from __future__ import annotations

import json

import pytest

import localembed
from localembed import doctor
from localembed.errors import StorageError
from localembed.store import fsync, heartbeat
from localembed.store.crash_recovery import sweep_branches
from localembed.store.fsync import files_below
from localembed.store.head import read_head
from localembed.store.lance.disk_names import manifest_path, newest_version
from localembed.store.manifest import Manifest
from tests.test_crash import assert_equals_clean_build, kill, write_first, write_second

ANOTHER_BOOT = "00000000-another-boot"


def reboot(monkeypatch) -> None:
    monkeypatch.setattr(heartbeat, "boot_id", lambda: ANOTHER_BOOT)


def table_folder(workspace):
    return next(workspace.layout.vectors.glob("*.lance"))


def index_on_a_failing_disk(workspace, monkeypatch) -> None:
    def broken(_name: str) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(fsync, "sync_file", broken)
        with pytest.raises(StorageError, match="Input/output error"):
            workspace.index()


def test_after_a_reboot_what_was_not_synced_is_taken_back(
    workspace, notes, run_cli, tmp_path, monkeypatch
):
    write_first(notes)
    workspace.index()
    safe = newest_version(table_folder(workspace))
    write_second(notes)
    assert kill(run_cli, notes, "added", 1)
    torn = newest_version(table_folder(workspace))
    assert torn > safe
    manifest_path(table_folder(workspace), torn).write_bytes(b"")
    reboot(monkeypatch)
    seen = []

    workspace.index(on_event=lambda event: seen.append(event.step))

    assert "reconciled" not in seen, "the manifest speaks of the version that was gone back to"
    assert_equals_clean_build(workspace, notes, tmp_path)


def test_after_a_reboot_queries_are_answered_before_the_next_run(
    workspace, notes, run_cli, monkeypatch
):
    """Lance reads the newest version before the pinned one."""
    write_first(notes)
    workspace.index()
    write_second(notes)
    assert kill(run_cli, notes, "added", 1)
    torn = newest_version(table_folder(workspace))
    manifest_path(table_folder(workspace), torn).write_bytes(b"")
    reboot(monkeypatch)

    assert workspace.query("f7word1x1", mode="text")


def test_after_a_reboot_batches_that_were_synced_are_kept(
    workspace, notes, run_cli, tmp_path, monkeypatch
):
    write_first(notes)
    assert kill(run_cli, notes, "added", 3)
    reboot(monkeypatch)

    report = workspace.index()

    assert report.chunks.embedded <= report.chunks.total - 2 * 12, "two batches were on disk"
    assert_equals_clean_build(workspace, notes, tmp_path)


def test_after_a_mere_kill_newer_rows_are_kept(workspace, notes, run_cli, tmp_path):
    write_first(notes)
    assert kill(run_cli, notes, "added", 1)
    version = newest_version(table_folder(workspace))

    workspace.index()

    assert manifest_path(table_folder(workspace), version).exists()
    assert_equals_clean_build(workspace, notes, tmp_path)


def test_a_table_that_was_never_safe_is_set_aside(workspace, notes, run_cli, tmp_path, monkeypatch):
    write_first(notes)
    assert kill(run_cli, notes, "added", 1)
    manifest_path(table_folder(workspace), 1).write_bytes(b"")
    reboot(monkeypatch)

    workspace.index()

    assert len(list(workspace.layout.damaged.iterdir())) == 1
    assert_equals_clean_build(workspace, notes, tmp_path)


@pytest.mark.parametrize("torn", [b"", b"{", None])
def test_a_torn_heartbeat_is_taken_for_a_power_cut(
    workspace, notes, run_cli, tmp_path, torn, monkeypatch
):
    write_first(notes)
    workspace.index()
    write_second(notes)
    assert kill(run_cli, notes, "added", 1)
    version = newest_version(table_folder(workspace))
    manifest_path(table_folder(workspace), version).write_bytes(b"")
    if torn is None:
        facts = json.loads(workspace.layout.heartbeat.read_text())
        workspace.layout.heartbeat.write_text(json.dumps({**facts, "boot_id": ""}))
    else:
        workspace.layout.heartbeat.write_bytes(torn)

    workspace.index()

    assert_equals_clean_build(workspace, notes, tmp_path)


def test_what_a_disk_failed_to_keep_is_written_anew(workspace, notes, tmp_path, monkeypatch):
    """A second fsync would succeed although the kernel has dropped the data."""
    write_first(notes)
    workspace.index()
    safe = newest_version(table_folder(workspace))
    write_second(notes)
    index_on_a_failing_disk(workspace, monkeypatch)
    failed = newest_version(table_folder(workspace))
    assert failed > safe
    written = [name for name in files_below(table_folder(workspace)) if name.startswith("data/")]

    localembed.Workspace(workspace.folder).index()

    assert set(written) - set(files_below(table_folder(workspace))), "rows were written anew"
    assert_equals_clean_build(workspace, notes, tmp_path)


def test_a_sync_that_fails_while_a_cut_off_run_is_taken_over_takes_it_back(
    workspace, notes, run_cli, tmp_path, monkeypatch
):
    write_first(notes)
    workspace.index()
    safe = newest_version(table_folder(workspace))
    write_second(notes)
    assert kill(run_cli, notes, "added", 1)
    index_on_a_failing_disk(workspace, monkeypatch)
    seen = []

    workspace.index(on_event=lambda event: seen.append(event.step))

    assert "reconciled" not in seen, f"it was gone back to version {safe}"
    assert_equals_clean_build(workspace, notes, tmp_path)


def test_a_damaged_head_after_a_power_cut_is_fixed_without_help(
    workspace, notes, run_cli, tmp_path, monkeypatch
):
    write_first(notes)
    workspace.index()
    write_second(notes)
    assert kill(run_cli, notes, "added", 1)
    workspace.layout.head.write_text("{")
    reboot(monkeypatch)

    checkup = doctor(workspace, repair=True)

    assert not [finding for finding in checkup.findings if finding.verdict == "wrong"]
    assert_equals_clean_build(workspace, notes, tmp_path)


def test_a_power_cut_during_gc_is_taken_back(workspace, notes, tmp_path, monkeypatch):
    from localembed.store.lance.maintenance import Maintenance

    write_first(notes)
    workspace.index()
    write_second(notes)
    workspace.index()
    real = Maintenance.compact

    def cut(table):
        real(table)
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(Maintenance, "compact", cut)
        patch.setattr(heartbeat, "end", lambda *_, **__: None)
        with pytest.raises(SystemExit):
            workspace.history.collect_garbage(1)
    folder = table_folder(workspace)
    manifest_path(folder, newest_version(folder)).write_bytes(b"")
    reboot(monkeypatch)

    workspace.history.collect_garbage(1)

    assert doctor(workspace).verdict == "ok"
    assert_equals_clean_build(workspace, notes, tmp_path)


def test_a_run_that_ended_well_is_never_rolled_back(workspace, notes, tmp_path, monkeypatch):
    write_first(notes)
    workspace.index()
    reboot(monkeypatch)
    head = read_head(workspace.layout)

    assert not workspace.index().changed
    assert read_head(workspace.layout) == head


@pytest.mark.parametrize("damage", ["empty name", "no files", "empty files", "no name"])
def test_a_branch_that_was_not_written_to_its_end_is_swept(
    workspace, notes, run_cli, tmp_path, damage
):
    """Lance would list no branch any more, make none, and clean nothing up."""
    write_first(notes)
    workspace.index()
    workspace.history.collect_garbage(5)
    folder = table_folder(workspace)
    (name,) = (folder / "_refs" / "branches").glob("*.json")
    tree = folder / "tree" / name.stem
    manifests = list((tree / "_versions").glob("*.manifest"))
    if damage == "empty name":
        name.write_bytes(b"")
    elif damage == "no name":
        name.unlink()
    else:
        for manifest in manifests:
            manifest.write_bytes(b"")
            if damage == "no files":
                manifest.unlink()

    sweep_branches(folder)

    assert not name.exists()
    assert not tree.exists()
    workspace.history.collect_garbage(5)
    assert name.exists()
    assert_equals_clean_build(workspace, notes, tmp_path)


def test_every_file_of_a_table_is_known_by_its_digest(workspace, notes):
    write_first(notes)
    workspace.index()
    write_second(notes)
    workspace.index()
    workspace.history.collect_garbage(0)
    folder = table_folder(workspace)

    known = Manifest(workspace.layout).stored_files(folder.stem)

    there = {n for n in files_below(folder) if not n.startswith(("_refs", "tree"))}
    assert set(known) == {name for name in there if not name.endswith("hint.json")}
