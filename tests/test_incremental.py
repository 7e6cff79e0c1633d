"""What the next `index` does, row by row of the promise: exact counts."""

from __future__ import annotations

import os
import random
import shutil
import statistics
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import localembed
from localembed import readers
from localembed.errors import ModelError, UsageError, WorkspaceError
from localembed.pipeline import read_and_chunk
from localembed.sources import Content, read_file
from localembed.store.lance.disk_names import newest_version
from localembed.types.events import RunEvent, Step
from localembed.types.queries import Query
from tests.conftest import all_rows, paragraphs
from tests.fake_backend import DIM


def table_version(workspace) -> int:
    name = workspace.status().table
    return newest_version(workspace.layout.table(name))


def pass_clock_tick() -> None:
    """Let the clock move past the tick in which a change could hide."""
    import time

    time.sleep(0.03)


def test_nothing_is_opened_or_written_when_nothing_happened(workspace, notes, fake, monkeypatch):
    for n in range(5):
        (notes / f"{n}.md").write_text(paragraphs(3, f"f{n}"))
    pass_clock_tick()
    workspace.index()
    version, embedded = table_version(workspace), len(fake.embedded)
    opened = []
    real_open = os.open
    monkeypatch.setattr(os, "open", lambda p, *a, **k: (opened.append(p), real_open(p, *a, **k))[1])

    report = workspace.index()

    assert (report.changed, report.run, report.version) == (False, None, 1)
    assert (report.files.seen, report.files.unchanged) == (5, 5)
    assert report.bytes == 0
    assert not [p for p in opened if os.fsencode(p).endswith(b".md")]
    assert table_version(workspace) == version
    assert len(fake.embedded) == embedded
    assert list((workspace.folder / "runs").iterdir()) == [workspace.folder / "runs" / "1.json"]


def test_files_with_equal_bytes_are_hashed_and_nothing_more(workspace, notes, fake):
    for n in range(3):
        (notes / f"{n}.md").write_text(paragraphs(3, f"f{n}"))
    workspace.index()
    version = table_version(workspace)
    os.utime(notes / "0.md", (1, 1))
    copy = notes / "1.copy"
    shutil.copy(notes / "1.md", copy)
    copy.replace(notes / "1.md")
    pass_clock_tick()
    fake.embedded.clear()

    report = workspace.index()

    assert (report.changed, report.files.unchanged, report.files.changed) == (False, 3, 0)
    assert fake.embedded == []
    assert table_version(workspace) == version
    pass_clock_tick()
    assert workspace.index().bytes == 0


def test_a_renamed_file_is_not_embedded_again(workspace, notes, fake):
    (notes / "old.md").write_text(paragraphs(5))
    (notes / "other.md").write_text(paragraphs(5, "o"))
    chunks = workspace.index().chunks.total
    fake.embedded.clear()
    (notes / "deep").mkdir()
    (notes / "old.md").rename(notes / "deep" / "new.md")

    report = workspace.index()

    assert (report.files.renamed, report.files.added, report.files.removed) == (1, 0, 0)
    assert (report.chunks.embedded, report.chunks.total) == (0, chunks)
    assert fake.embedded == []
    hits = workspace.query("pword3x1", mode="text")
    assert [Path(hit.path) for hit in hits] == [notes / "deep" / "new.md"]


def test_a_file_moved_between_roots_is_not_embedded_again(workspace, notes, tmp_path, fake):
    other = tmp_path / "other"
    other.mkdir()
    (other / "stays.md").write_text(paragraphs(2, "s"))
    (notes / "stays.md").write_text(paragraphs(2, "t"))
    (notes / "moves.md").write_text(paragraphs(5))
    workspace.index([notes, other])
    fake.embedded.clear()
    (notes / "moves.md").rename(other / "moved.md")

    report = workspace.index()

    assert (report.files.renamed, report.files.removed, report.files.added) == (1, 0, 0)
    assert fake.embedded == []
    assert [Path(h.path) for h in workspace.query("pword3x1", mode="text")] == [other / "moved.md"]


def test_an_edit_embeds_only_its_neighbours(workspace, notes, fake):
    file = notes / "large.md"
    file.write_text(paragraphs(300))
    first = workspace.index()
    assert first.chunks.total >= 200
    random.seed(4)
    costs = []
    for n in range(20):
        lines = file.read_text().split("\n")
        place = random.randrange(2, len(lines) - 2)
        if n % 4 == 0:
            lines.insert(0, f"A line {n} at the very top of the file.")
        elif n % 4 == 1:
            lines[place] += f" edited{n}"
        elif n % 4 == 2:
            lines[place : place + 2] = []
        else:
            lines[place:place] = ["", f"A new paragraph number {n} stands here now.", ""]
        file.write_text("\n".join(lines))
        report = workspace.index()
        assert report.files.changed == 1
        assert report.chunks.embedded + report.chunks.reused == report.chunks.total
        costs.append(report.chunks.embedded)
    assert max(costs) <= 5
    assert statistics.mean(costs) <= 2


def test_one_text_in_fifty_files_is_embedded_once(workspace, notes, fake):
    for n in range(50):
        (notes / f"{n}.txt").write_text("The same licence stands in every one of these files.")

    report = workspace.index()

    assert (report.chunks.embedded, report.chunks.reused, report.chunks.total) == (1, 49, 50)
    assert len(fake.embedded) == 1
    hits = workspace.query("licence", mode="vector", top_k=100)
    assert len({hit.path for hit in hits}) == 50


def test_an_edit_that_keeps_size_and_mtime_is_noticed(workspace, notes):
    file = notes / "a.txt"
    file.write_text("alpha words")
    os.utime(file, ns=(10**18, 10**18))
    pass_clock_tick()
    workspace.index()
    file.write_text("gamma words")
    os.utime(file, ns=(10**18, 10**18))

    report = workspace.index()

    assert report.files.changed == 1
    assert workspace.query("gamma", mode="text")
    assert not workspace.query("alpha", mode="text")


def test_a_folder_that_became_a_link_after_the_walk_is_not_followed(workspace, notes, tmp_path):
    (notes / "etc").mkdir()
    (notes / "etc" / "a.md").write_text("alpha words inside")
    workspace.index()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.md").write_text("a secret outside")
    (notes / "etc" / "a.md").write_text("gamma words inside")

    def swap_just_before_the_look(*place) -> Content:
        if not (notes / "etc").is_symlink():
            (notes / "etc").rename(notes / "etc.old")
            (notes / "etc").symlink_to(outside)
        return read_file(*place)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(read_and_chunk, "read_file", swap_just_before_the_look)
        report = workspace.index()
    assert report.exit_code == 3
    assert [note.path for note in report.failures] == [os.fsencode(notes / "etc" / "a.md")]
    assert "such as a link now" in report.failures[0].reason
    assert not workspace.query("secret", mode="text")
    assert workspace.query("alpha", mode="text")  # the old rows are kept


@pytest.mark.parametrize("above", [False, True])
def test_a_root_that_was_replaced_after_the_walk_is_not_read(workspace, tmp_path, above):
    outside = tmp_path / "outside"
    for folder, text in ((tmp_path / "top" / "etc", "inside"), (outside / "etc", "a secret")):
        folder.mkdir(parents=True)
        (folder / "a.md").write_text(text)
    swapped = tmp_path / "top" if above else tmp_path / "top" / "etc"

    def swap_just_before_the_look(*place) -> Content:
        if not swapped.is_symlink():
            swapped.rename(tmp_path / "old")
            swapped.symlink_to(outside if above else outside / "etc")
        return read_file(*place)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(read_and_chunk, "read_file", swap_just_before_the_look)
        report = workspace.index([tmp_path / "top" / "etc"])
    assert report.exit_code == 3
    assert "its root was replaced" in report.failures[0].reason
    swapped.unlink()
    (tmp_path / "old").rename(swapped)
    assert not workspace.layout.head.exists() or not workspace.query("secret", mode="text")


def test_a_file_as_new_as_the_look_at_it_is_read_again(workspace, notes, monkeypatch):
    file = notes / "a.txt"
    file.write_text("alpha words")

    def write_just_before_the_look(*place) -> Content:
        file.write_text("gamma words")
        return read_file(*place)

    with monkeypatch.context() as patched:
        patched.setattr(read_and_chunk, "read_file", write_just_before_the_look)
        workspace.index()
    report = workspace.index()
    assert (report.files.unchanged, report.bytes) == (1, len("gamma words"))
    pass_clock_tick()
    workspace.index()
    assert workspace.index().bytes == 0


def test_a_deleted_file_is_gone_from_every_search(workspace, notes):
    (notes / "a.txt").write_text("zebra facts")
    (notes / "b.txt").write_text("other things")
    workspace.index()
    (notes / "a.txt").unlink()

    report = workspace.index()

    assert (report.files.removed, report.chunks.removed, report.chunks.total) == (1, 1, 1)
    for mode in ("hybrid", "vector", "text"):
        paths = [hit.path for hit in workspace.query("zebra facts", mode=mode)]
        assert str(notes / "a.txt") not in paths


def test_a_text_that_is_still_stored_elsewhere_comes_back_for_nothing(workspace, notes, fake):
    early = paragraphs(4, "early")
    (notes / "a.md").write_text(early)
    (notes / "backup.md").write_text(early)
    workspace.index()
    (notes / "a.md").write_text(paragraphs(4, "late"))
    workspace.index()
    fake.embedded.clear()
    (notes / "a.md").write_text(early)

    report = workspace.index()

    assert (report.files.changed, report.chunks.embedded) == (1, 0)
    assert fake.embedded == []


def test_a_missing_root_is_refused_and_nothing_removed(workspace, notes, tmp_path):
    (notes / "a.txt").write_text("kept words")
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.txt").write_text("distant words")
    workspace.index([notes, other])
    shutil.rmtree(other)
    (notes / "new.txt").write_text("fresh words")

    report = workspace.index()

    assert report.exit_code == 5
    assert report.files.removed == 0
    assert "--allow-mass-delete" in report.refused[0]
    assert str(other) in report.refused[0]
    assert workspace.query("distant", mode="text")
    assert workspace.query("fresh", mode="text")


def test_an_emptied_root_is_refused_until_it_is_allowed(workspace, notes):
    (notes / "a.txt").write_text("kept words")
    workspace.index()
    (notes / "a.txt").unlink()

    report = workspace.index()
    assert (report.exit_code, report.files.removed) == (5, 0)
    assert workspace.query("kept", mode="text")

    report = workspace.index(allow_mass_delete=True)
    assert (report.exit_code, report.files.removed) == (0, 1)
    assert not workspace.query("kept", mode="text")


def test_a_root_that_lost_most_of_its_files_is_refused(workspace, notes):
    for n in range(30):
        (notes / f"{n}.txt").write_text(f"number {n}")
    workspace.index()
    for n in range(19):
        (notes / f"{n}.txt").unlink()
    assert workspace.index().files.removed == 19  # fewer than twenty are believed
    for n in range(30):
        (notes / f"{n}.txt").write_text(f"number {n}")
    workspace.index()
    for n in range(21):
        (notes / f"{n}.txt").unlink()

    report = workspace.index()

    assert (report.exit_code, report.files.removed) == (5, 0)
    assert "lost 21 of 30" in report.refused[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_an_unreadable_folder_is_a_failure_and_not_a_deletion(workspace, notes, own_home):
    (notes / "open.txt").write_text("open words")
    closed = notes / "closed"
    closed.mkdir()
    (closed / "a.txt").write_text("sealed words")
    workspace.index()
    closed.chmod(0o700)

    with another_user(workspace.folder, notes.parent, own_home):
        report = workspace.index()

    assert report.exit_code == 3
    assert [(Path(os.fsdecode(n.path)), n.reason) for n in report.failures] == [
        (closed, "cannot be listed: Permission denied")
    ]
    assert report.files.removed == 0
    assert workspace.query("sealed", mode="text")


@contextmanager
def another_user(*folders: Path):
    """Become nobody, who owns these folders but for what is closed in them."""
    nobody = 65534
    for folder in folders:
        for parent in folder.parents[:-2]:
            parent.chmod(0o755)
        os.chown(folder, nobody, nobody)
    for path in folders[0].rglob("*"):
        os.chown(path, nobody, nobody)
    os.seteuid(nobody)
    try:
        yield
    finally:
        os.seteuid(0)


def test_one_named_file_is_all_that_is_looked_at(workspace, notes):
    (notes / "a.md").write_text("alpha one")
    (notes / "b.md").write_text("beta one")
    (notes / "c.md").write_text("gamma one")
    workspace.index()
    (notes / "a.md").write_text("alpha two")
    (notes / "b.md").write_text("beta two")
    (notes / "c.md").unlink()

    report = workspace.index([notes / "a.md"])

    assert (report.files.seen, report.files.changed, report.files.removed) == (1, 1, 0)
    assert workspace.query("gamma", mode="text")
    assert len(workspace.roots) == 1


def test_another_chunking_is_built_beside_and_served_when_complete(workspace, notes, fake):
    (notes / "a.md").write_text(paragraphs(10))
    workspace.index()
    before = workspace.status()
    seen = []

    def watch(event: RunEvent) -> None:
        if event.step is Step.RECORDED:
            seen.append((workspace.status().table, len(workspace.query("pword1x1", mode="text"))))

    smaller = localembed.Workspace(workspace.folder, {"chunk_tokens": 32})
    report = smaller.index(on_event=watch)

    assert report.changed
    assert seen
    assert {table for table, _ in seen} == {before.table}
    assert all(hits for _, hits in seen)
    after = workspace.status()
    assert after.table != before.table
    assert before.table in after.other_tables
    assert after.chunks > before.chunks
    # A bare index goes on with what is served.
    assert not workspace.index().changed


def test_another_chunking_takes_the_vectors_that_are_the_same(workspace, notes, fake):
    for n in range(5):
        (notes / f"{n}.md").write_text(f"A short text, number {n}, is one chunk in any table.")
    workspace.index()
    fake.embedded.clear()

    report = localembed.Workspace(workspace.folder, {"chunk_tokens": 32}).index()

    assert (report.changed, report.chunks.total, report.chunks.embedded) == (True, 5, 0)
    assert fake.embedded == []


def test_fewer_bits_are_not_taken_for_more(workspace, notes, fake):
    (notes / "a.md").write_text("A short text.")
    workspace.index()
    wide = localembed.Workspace(workspace.folder, {"vector_type": "float32"}).index()
    assert wide.chunks.embedded == 1


def test_another_model_is_built_beside_and_stays_there(workspace, notes, fake):
    (notes / "a.md").write_text(paragraphs(3))
    workspace.index()
    first = workspace.status().table
    localembed.Workspace(workspace.folder, {"model": "other"}).index()

    assert workspace.status().table == first
    assert [t.model for t in workspace.status().other_tables.values()] == ["other"]
    assert workspace.query("pword1x1", mode="text", model="other")
    assert workspace.search(Query("pword1x1", model="other")).model == "other"


def test_chunks_are_accounted_for(workspace, notes, fake):
    (notes / "a.md").write_text(paragraphs(6))
    (notes / "b.md").write_text(paragraphs(6, "b") + "\n\nbrokenword stands here")
    from tests.fake_backend import _tokens

    fake.broken.add(int(_tokens("brokenword").ids[0]))
    report = workspace.index()

    chunks = report.chunks
    assert chunks.failed == 1
    assert report.exit_code == 3
    assert report.files.failed == 0
    note = report.failures[0]
    assert note.path == os.fsencode(notes / "b.md")
    assert "could not be embedded: the model gave a vector that is not finite" in note.reason
    assert chunks.embedded + chunks.reused + chunks.failed == chunks.total
    assert [h.text.split()[-3] for h in workspace.query("brokenword", mode="text")] == [
        "brokenword"
    ]
    assert all(hit.score > -1 for hit in workspace.query("stands here", mode="vector"))
    with pytest.raises(ModelError, match="did not return a usable vector"):
        workspace.query("brokenword", mode="hybrid")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda vectors: vectors * [[1], [0], [1]], "a vector of zeros"),
        (lambda vectors: vectors * [[1], [np.inf], [1]], "a vector that is not finite"),
        (lambda vectors: vectors * [[1], [1e30], [1]], "a vector of length 1.0e+30, which"),
        (lambda vectors: vectors * [[1], [1e-30], [1]], "a vector of length 1.0e-30, which"),
        (lambda vectors: vectors[:, :7], f"7 dimensions instead of {DIM}"),
    ],
)
def test_no_vector_is_stored_unseen(workspace, notes, fake, monkeypatch, spoil, reason):
    """Whatever an embedder says of itself."""
    honest = fake.embed_documents

    def embed(*asked):
        made = honest(*asked)
        return replace(made, vectors=spoil(made.vectors).astype(np.float32))

    monkeypatch.setattr(fake, "embed_documents", embed)
    for name in "abc":
        (notes / f"{name}.txt").write_text(f"text {name}")

    report = workspace.index()

    (said,) = {note.reason.rpartition("returned ")[2] for note in report.failures}
    assert said.startswith(reason)
    spoilt = 1 if "dimensions" not in reason else 3
    assert (report.chunks.failed, report.exit_code) == (spoilt, 3)
    assert len(workspace.query("text", mode="text")) == 3


@pytest.fixture
def scaled(fake, monkeypatch):
    """Multiply the vectors of texts with a word, as models do that do not normalise."""
    honest = fake.embed_documents

    def scale(word, factor):
        def embed(embedder, inputs, on_batch):
            made = honest(embedder, inputs, on_batch)
            factors = [[factor if word in item.text else 1] for item in inputs]
            return replace(made, vectors=(made.vectors * factors).astype(np.float32))

        monkeypatch.setattr(fake, "embed_documents", embed)

    return scale


@pytest.mark.parametrize("factor", [1e6, 1e10, 1e-6, 1e-7, 1e-8, 1e-12])
def test_a_vector_that_float16_cannot_hold_fails_until_float32_holds_it(
    workspace, notes, scaled, factor
):
    scaled("odd", factor)
    for name, text in {"a": "plain words", "b": "odd words", "c": "other words"}.items():
        (notes / f"{name}.txt").write_text(text)

    report = workspace.index()

    assert (report.exit_code, report.chunks.failed, report.chunks.embedded) == (3, 1, 2)
    assert "use --vector-type float32" in report.failures[0].reason
    (listed,) = workspace.status().failures
    assert listed.path.endswith(b"b.txt")
    found = [{hit.path[-5:] for hit in workspace.query("odd", mode="vector")} for _ in range(2)]
    assert found == [{"a.txt", "c.txt"}] * 2
    assert workspace.index(retry_failed=True).exit_code == 3
    wider = localembed.Workspace(workspace.folder, {"vector_type": "float32"})
    assert wider.index().exit_code == 0
    assert wider.status().failures == ()
    for _ in range(2):
        assert wider.query("odd words", mode="vector")[0].path.endswith("b.txt")


@pytest.mark.parametrize("factor", [1e5, 6e4, 1000, 0.01, 1e-4])
def test_vectors_of_other_lengths_are_stored_in_float16(workspace, notes, scaled, factor):
    scaled("odd", factor)
    (notes / "a.txt").write_text("plain words")
    (notes / "b.txt").write_text("odd words")

    assert workspace.index().exit_code == 0
    for _ in range(2):
        assert workspace.query("odd words", mode="vector")[0].path.endswith("b.txt")


def test_a_reused_vector_is_checked_as_a_new_one(workspace, notes, scaled, fake):
    """It may come from a table that stores more bits."""
    scaled("odd", 1e6)
    (notes / "a.txt").write_text("plain words")
    (notes / "b.txt").write_text("odd words")
    wider = localembed.Workspace(workspace.folder, {"vector_type": "float32"})
    assert wider.index().exit_code == 0
    fake.embedded.clear()

    narrow = localembed.Workspace(workspace.folder, {"vector_type": "float16"}).index()

    assert (narrow.exit_code, narrow.chunks.failed, narrow.chunks.reused) == (3, 1, 1)
    assert fake.embedded == []


def test_new_ignore_rules_take_files_out(workspace, notes):
    (notes / "a.txt").write_text("kept words")
    (notes / "b.log").write_text("log words")
    workspace.index()
    (notes / ".gitignore").write_text("*.log\n")

    report = workspace.index()

    assert report.files.removed == 1
    assert not workspace.query("log", mode="text")


def test_a_parent_takes_its_children_over(workspace, notes, fake):
    (notes / "sub").mkdir()
    (notes / "sub" / "a.md").write_text(paragraphs(4))
    workspace.index([notes / "sub"])
    fake.embedded.clear()
    (notes / "b.md").write_text("something else")

    report = workspace.index([notes])

    assert [root.path for root in workspace.roots] == [os.fsencode(notes)]
    assert (report.files.renamed, report.files.added) == (1, 1)
    assert len(fake.embedded) == 1
    assert len(workspace.query("pword1x1", mode="text")) == 1


def test_a_forgotten_root_leaves_no_rows(workspace, notes, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (notes / "a.txt").write_text("kept words")
    (other / "b.txt").write_text("distant words")
    workspace.index([notes, other])

    report = workspace.remove(other)

    assert (report.files.removed, report.chunks.total) == (1, 1)
    assert not workspace.query("distant", mode="text")
    assert len(workspace.roots) == 1
    assert not workspace.index().changed


def test_a_forgotten_path_stays_out(workspace, notes):
    (notes / "a [x].txt").write_text("alpha words")
    (notes / "b.txt").write_text("beta words")
    workspace.index()

    report = workspace.remove(notes / "a [x].txt")

    assert report.files.removed == 1
    assert not workspace.query("alpha", mode="text")
    assert not workspace.index().changed
    assert (notes / "a [x].txt").exists()


def test_a_path_in_no_root_cannot_be_forgotten(workspace, tmp_path):
    with pytest.raises(UsageError, match="in no root"):
        workspace.remove(tmp_path / "elsewhere")


def test_a_lost_config_removes_nothing(workspace, notes, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (notes / "a.txt").write_text("kept words")
    (other / "b.txt").write_text("distant words")
    workspace.index([notes, other])
    (workspace.folder / "config.toml").unlink()

    assert workspace.index([notes]).chunks.removed == 0
    assert workspace.index([other]).changed is False
    assert workspace.query("distant", mode="text")


def test_a_run_equals_a_clean_build(workspace, notes, tmp_path, fake):
    for n in range(8):
        (notes / f"{n}.md").write_text(paragraphs(6, f"f{n}"))
    workspace.index()
    (notes / "1.md").write_text(paragraphs(7, "new"))
    (notes / "2.md").unlink()
    (notes / "3.md").rename(notes / "moved.md")
    workspace.index()

    clean = localembed.Workspace(tmp_path / "clean")
    clean.index([notes])

    strip = [row[1:] for row in all_rows(workspace)]
    assert sorted(strip) == sorted(row[1:] for row in all_rows(clean))


def test_a_file_that_fits_into_no_memory_fails_alone(workspace, notes, monkeypatch):
    (notes / "a.md").write_text("zebra")
    (notes / "huge.md").write_text("so many words")
    real = readers.read_text

    def read(data):
        if data.startswith(b"so many"):
            raise MemoryError
        return real(data)

    monkeypatch.setattr("localembed.pipeline.read_and_chunk.readers.read_text", read)

    report = workspace.index()

    assert report.exit_code == 3
    assert [note.reason for note in report.failures] == ["not enough memory to read and chunk it"]
    assert workspace.query("zebra", mode="text")


@pytest.mark.parametrize("count", [3, 24])
@pytest.mark.parametrize("refused_before", [True, False])
def test_a_parent_root_removes_no_more_than_the_root_itself(tmp_path, fake, count, refused_before):
    inner = tmp_path / "top" / "inner"
    inner.mkdir(parents=True)
    for n in range(count):
        (inner / f"{n}.md").write_text(f"Some words {n}.")
    workspace = localembed.open(tmp_path / "top")
    workspace.index([inner])
    rows = all_rows(workspace)
    inner.rename(tmp_path / "away")
    inner.mkdir()
    if refused_before:
        assert workspace.index().refused

    with pytest.raises(WorkspaceError, match="--allow-mass-delete"):
        workspace.index([tmp_path / "top"])
    assert all_rows(workspace) == rows
    assert [root.path for root in workspace.roots] == [os.fsencode(inner)]

    inner.rmdir()
    (tmp_path / "away").rename(tmp_path / "top" / "renamed")
    workspace.index([tmp_path / "top"])
    assert len(all_rows(workspace)) == count
    shutil.rmtree(tmp_path / "top" / "renamed")
    assert workspace.index([tmp_path / "top"], allow_mass_delete=True).files.removed == count
