"""Real power cuts: an ext4 file system is shut down under a run, with what it had not written yet.

After each the workspace opens without help, nothing that was recorded is embedded again, and the
next run completes and equals a clean build. `tests/test_power.py` makes single damages by hand.
"""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import struct
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import localembed
from localembed.core.hashing import digest_file
from localembed.errors import LocalembedError
from localembed.store.fsync import files_below
from localembed.store.lance.connection import connect
from localembed.store.lance.disk_names import is_written_once
from localembed.store.layout import Layout
from localembed.store.manifest import Manifest
from localembed.store.pending_vectors import PendingVectors
from tests.conftest import PROJECT, current_table, paragraphs
from tests.slow.pending import DIM, KEYS, SPACE, VECTORS
from tests.test_crash import BATCH, FILES, STEPS, assert_equals_clean_build, write_first
from tests.test_crash import write_second as change

SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN
JOURNAL, NOTHING = 1, 2
"""What still reaches the disk: the names and sizes of files (their content does not), or nothing.

With the journal files are torn: they are there and empty. Without, they are not there.
"""
COMMIT_SECONDS = 7
"""Every five the kernel writes the journal by itself."""
CLEANING = {"MAX_FRAGMENTS": "1", "LOCALEMBED_KEEP_VERSIONS": "2"}
CLEAN_UP = ("compacted", "protected", "cleaned")
NEW_CHUNKS = 4 * 2 + 5
"""What a refresh embeds: the new end of four files, and an added file."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="ext4 is of Linux"),
    pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounts as root"),
    pytest.mark.skipif(shutil.which("mkfs.ext4") is None, reason="mkfs.ext4 is missing"),
]
both_ways = pytest.mark.parametrize("kept", [JOURNAL, NOTHING], ids=["journal", "nothing"])


class Machine:
    """Runs the command line with a disk of its own, until its power is cut."""

    def __init__(self, image: Path, disk: Path) -> None:
        self.image, self.disk = image, disk
        self.workspace = disk / "workspace"
        self.boots = 0

    def start(self) -> None:
        """Mount the disk; what runs from now on runs after a reboot."""
        self.boots += 1
        system("mount", "-o", "loop", self.image, self.disk)

    def stop(self) -> None:
        """Shut down as one should."""
        system("umount", self.disk)

    def cut(self, kept: int) -> None:
        """Lose everything that is not on the disk, and start again."""
        descriptor = os.open(self.disk, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, SHUTDOWN, struct.pack("I", kept))
        finally:
            os.close(descriptor)
        self.stop()
        self.start()

    def index(self, notes: Path, **settings: str) -> bool:
        """Index with small batches; tell whether the run came to its end."""
        done = subprocess.run(
            [sys.executable, "-m", "tests.slow.power_cut_cli", "index", "-q", str(notes)],
            cwd=PROJECT,
            env={
                **os.environ,
                "LOCALEMBED_WORKSPACE": str(self.workspace),
                "BATCH_CHUNKS": str(BATCH),
                "BOOT_ID": str(self.boots),
                **settings,
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode in (0, -9), done.stderr
        return done.returncode == 0

    def open(self) -> localembed.Workspace:
        """Return the workspace; this process is one of another boot."""
        return localembed.Workspace(self.workspace)


def system(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True, timeout=60)


def unmount(folder: Path) -> None:
    """Unmount, and with that detach the loop device, even if a handle on a table is still open."""
    subprocess.run(["umount", "--lazy", str(folder)], check=False, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Disks to copy: an empty one, and those that `index_first` adds."""
    folder = tmp_path_factory.mktemp("images")
    image, there = folder / "empty", folder / "there"
    there.mkdir()
    with image.open("wb") as file:
        file.truncate(64 << 20)
    try:
        system("mkfs.ext4", "-q", image)
        system("mount", "-o", "loop", image, there)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no file system in a file can be mounted: {error}")
    finally:
        unmount(there)
    yield {"empty": image}
    shutil.rmtree(folder)


@pytest.fixture
def machine(images, fake, tmp_path):
    """A machine with an empty disk."""
    image, disk = tmp_path / "image", tmp_path / "disk"
    disk.mkdir()
    copy(images["empty"], image)
    machine = Machine(image, disk)
    try:
        machine.start()
        yield machine
    finally:
        unmount(disk)
        image.unlink()


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    return tmp_path_factory.mktemp("notes")


@pytest.fixture
def notes(documents):
    """An empty folder for documents, the same for every test: copied disks know it."""
    for path in documents.iterdir():
        path.unlink()
    return documents


@pytest.fixture
def index_first(machine, images, notes):
    """Write the first documents and index them, on a disk that is made once and then copied."""

    def index(**settings: str) -> None:
        write_first(notes)
        made = repr(settings)
        if made not in images:
            assert machine.index(notes, **settings)
            machine.stop()
            images[made] = images["empty"].with_name(f"indexed{len(images)}")
            copy(machine.image, images[made])
        else:
            machine.stop()
            copy(images[made], machine.image)
        machine.start()

    return index


def copy(image: Path, to: Path) -> None:
    system("cp", "--sparse=always", image, to)


def read_rows(workspace, table: str, version: int, columns: list[str]):
    handle = connect(workspace.layout.vectors).open_table(table, version=version)
    return handle.search().select(columns).to_arrow()


def assert_store_ok(workspace, notes, tmp_path) -> None:
    """Assert that nothing is missing, doubled, torn, or claimed without being there."""
    assert workspace.query("f1word1x1", mode="text")
    assert workspace.query("f1word1x1")
    assert_equals_clean_build(workspace, notes, tmp_path)
    assert_vectors_are_whole(workspace)
    assert_manifest_is_true(workspace)
    assert_files_are_whole(workspace)
    for version in workspace.history.versions():
        rows = read_rows(workspace, version.table, version.entry.lance_version, ["text", "vector"])
        assert len(rows) == version.entry.chunks


def assert_vectors_are_whole(workspace) -> None:
    name, entry = current_table(workspace)
    rows = read_rows(workspace, name, entry.lance_version, ["vector"])
    vectors = np.array(rows["vector"].to_pylist(), np.float32)
    assert np.isfinite(vectors).all()
    assert np.abs(vectors).sum(axis=1).all()


def assert_manifest_is_true(workspace) -> None:
    name, entry = current_table(workspace)
    rows = read_rows(workspace, name, entry.lance_version, ["doc_id", "run"])
    stored = Counter(zip(rows["doc_id"].to_pylist(), rows["run"].to_pylist(), strict=True))
    records, mark = Manifest(workspace.layout).load(name)
    claimed = {(r.doc_id, r.run): r.n_chunks for r in records.values() if r.n_chunks}
    assert claimed == stored
    assert mark is not None
    assert mark.lance_version == entry.lance_version


def assert_files_are_whole(workspace) -> None:
    """Those that are there: a clean-up that was cut off may have removed more than was recorded."""
    name, _ = current_table(workspace)
    folder = workspace.layout.table(name)
    known = Manifest(workspace.layout).stored_files(name)
    for file in filter(is_written_once, files_below(folder)):
        assert digest_file(folder / file) == known[file].xxh3, file


def is_whole(machine, notes, tmp_path) -> bool:
    """Tell whether all is as the run left it, without anything being fixed."""
    try:
        rows = machine.open().query("f1word1x1", mode="text")
        return bool(rows) and not machine.open().index([notes]).changed
    except LocalembedError:
        return False


@both_ways
@pytest.mark.parametrize(
    ("step", "number", "recorded"),
    [
        ("claimed", 1, 0),
        ("embedded", 2, 0),
        ("added", 3, 2),
        ("synced", 3, 2),
        ("recorded", 3, 3),
        ("published", 3, 3),
        ("finished", 1, 5),
    ],
)
def test_a_first_build_that_loses_its_power_completes(
    machine, notes, tmp_path, step, number, recorded, kept
):
    write_first(notes)

    assert not machine.index(notes, STOP_AT=f"{step}:{number}")
    machine.cut(kept)

    report = machine.open().index([notes])
    assert report.chunks.embedded <= max(0, report.chunks.total - recorded * BATCH)
    assert_store_ok(machine.open(), notes, tmp_path)


@both_ways
@pytest.mark.parametrize("step", STEPS)
def test_a_refresh_that_loses_its_power_completes(
    machine, notes, index_first, tmp_path, step, kept
):
    index_first()
    change(notes)

    assert not machine.index(notes, STOP_AT=f"{step}:1")
    machine.cut(kept)

    shown = step in ("published", "finished")
    assert bool(machine.open().query("addedword1x1", mode="text")) == shown
    assert bool(machine.open().query("f7word1x1", mode="text")) != shown
    embedded = machine.open().index().chunks.embedded
    assert embedded <= (0 if shown else NEW_CHUNKS)
    assert embedded < NEW_CHUNKS or step != "recorded"
    assert_store_ok(machine.open(), notes, tmp_path)


@both_ways
@pytest.mark.parametrize(
    ("build", "step"), [("first", "compacted"), *(("refresh", step) for step in CLEAN_UP)]
)
def test_a_clean_up_that_loses_its_power_loses_nothing(
    machine, notes, index_first, tmp_path, build, step, kept
):
    write_first(notes)
    if build == "refresh":
        index_first(**CLEANING)
        change(notes)

    assert not machine.index(notes, **CLEANING, STOP_AT=f"{step}:1")
    machine.cut(kept)

    assert machine.open().query("f1word1x1", mode="text")
    assert machine.open().index([notes]).chunks.embedded == 0
    assert_store_ok(machine.open(), notes, tmp_path)


@both_ways
@pytest.mark.parametrize(
    "place",
    [
        "localembed.store.lance.table.ChunkTable:protect",
        "localembed.store.lance.table.ChunkTable:clean",
        "localembed.store.lance.maintenance.Maintenance:ensure_text_index",
        "localembed.pipeline.garbage.Manifest:commit",
        "localembed.pipeline.garbage:publish_head",
    ],
)
def test_a_power_cut_between_steps_loses_nothing(
    machine, notes, index_first, tmp_path, place, kept
):
    index_first(**CLEANING)
    change(notes)

    assert not machine.index(notes, **CLEANING, STOP_AFTER=place)
    machine.cut(kept)

    assert machine.open().query("f1word1x1", mode="text")
    assert machine.open().index().chunks.embedded <= NEW_CHUNKS
    assert_store_ok(machine.open(), notes, tmp_path)


@pytest.mark.parametrize("step", ["added", "compacted"])
def test_what_the_kernel_wrote_by_itself_is_torn_and_taken_back(
    machine, notes, index_first, tmp_path, step
):
    index_first()
    change(notes)
    assert not machine.index(notes, **CLEANING, STOP_AT=f"{step}:1")

    time.sleep(COMMIT_SECONDS)
    machine.cut(NOTHING)

    assert machine.open().index().chunks.embedded <= NEW_CHUNKS
    assert_store_ok(machine.open(), notes, tmp_path)


def test_one_power_cut_after_another_loses_nothing(machine, notes, tmp_path):
    chance = random.Random(5)
    write_first(notes)
    for turn in range(6):
        step = chance.choice(("embedded", *STEPS, *CLEAN_UP))
        machine.index(notes, **CLEANING, STOP_AT=f"{step}:{chance.randint(1, 3)}")
        machine.cut(chance.choice((JOURNAL, NOTHING)))
        (notes / f"{chance.randrange(2, FILES)}.md").write_text(paragraphs(5, f"turn{turn}"))

    machine.open().index([notes])

    assert_store_ok(machine.open(), notes, tmp_path)


@both_ways
def test_a_run_that_ended_keeps_everything(machine, notes, tmp_path, kept):
    write_first(notes)
    assert machine.index(notes)
    machine.cut(kept)
    assert is_whole(machine, notes, tmp_path)
    assert_store_ok(machine.open(), notes, tmp_path)


@both_ways
def test_without_fsync_the_same_cut_destroys(machine, notes, tmp_path, kept):
    """So the tests above can fail."""
    write_first(notes)
    assert machine.index(notes, NO_FSYNC="1")
    machine.cut(kept)
    assert not is_whole(machine, notes, tmp_path)


@both_ways
def test_an_answer_that_was_saved_survives_a_power_cut(machine, kept):
    machine.workspace.mkdir()
    folder = os.open(machine.disk, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
    system(sys.executable, "-m", "tests.slow.pending", machine.workspace)

    machine.cut(kept)

    found = PendingVectors(Layout(machine.workspace), SPACE, DIM).vectors(KEYS)
    assert [found[key].tobytes() for key in KEYS] == [vector.tobytes() for vector in VECTORS]
