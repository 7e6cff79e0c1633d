"""Noise and secrets leave an index that was made without the rules against them."""

from __future__ import annotations

import os

import pytest

from localembed.pipeline import largest, read_and_chunk
from localembed.sources import read_file
from localembed.types import documents
from tests.conftest import paragraphs
from tests.noisy_repository import MARK, NOISE, write_repository


@pytest.fixture
def repository(notes):
    return write_repository(notes)


def shown(notes: tuple[documents.Note, ...]) -> dict[str, str]:
    return {os.fsdecode(note.path).rpartition("notes/")[2]: note.category for note in notes}


def test_noise_and_secrets_are_skipped_with_a_reason(repository, workspace):
    report = workspace.index()

    assert report.files.added == 4
    assert shown(report.skipped).items() >= NOISE.items()
    assert report.left_out == ()


def test_what_was_indexed_before_leaves_and_comes_back_with_nothing_embedded(
    repository, workspace, fake
):
    with_noise = {"no_ignore": True}
    first = workspace.index([repository], options=with_noise)
    assert first.files.added == 9

    left = workspace.index([repository], options={"no_ignore": False})

    assert shown(left.left_out) == NOISE | {"node_modules/a.js": "generated"}
    assert (left.chunks.embedded, left.exit_code) == (0, 0)
    assert workspace.status().files == 4
    assert workspace.index().left_out == ()
    back = workspace.index([repository], options=with_noise)
    assert (back.chunks.embedded, workspace.status().files) == (0, 9)


def test_a_new_version_of_the_rules_reads_every_file_once(repository, workspace, monkeypatch):
    workspace.index()
    opened: list[bytes] = []

    def counting(root, path=b"", identity=None):
        opened.append(path)
        return read_file(root, path, identity)

    monkeypatch.setattr(read_and_chunk, "read_file", counting)
    workspace.index()
    opened.clear()
    monkeypatch.setattr(documents, "NOISE_RULES", documents.NOISE_RULES + 1)

    report = workspace.index()

    assert sorted(opened) == [b"config.py", b"fixtures.json", *(b"note%d.md" % n for n in range(4))]
    assert (report.changed, report.chunks.embedded) == (False, 0)
    opened.clear()
    workspace.index()
    assert opened == []


def test_the_deletion_guard_does_not_count_what_the_default_rules_skip(notes, workspace):
    for n in range(60):
        (notes / f"bundle{n}.min.js").write_text(f"var a{n} = 1\n")
    workspace.index([notes], options={"no_ignore": True})

    report = workspace.index([notes], options={"no_ignore": False})

    assert (report.exit_code, report.refused) == (0, ())
    assert len(report.left_out) == 60
    assert workspace.status().files == 0


def test_secrets_leave_a_root_whose_other_deletions_are_refused(notes, workspace):
    for n in range(30):
        (notes / f"note{n}.md").write_text(f"Note {n}.\n")
    (notes / "id_rsa").write_text(f"{MARK}\n")
    workspace.index([notes], options={"no_ignore": True})
    for n in range(25):
        (notes / f"note{n}.md").unlink()

    report = workspace.index([notes], options={"no_ignore": False})

    assert (report.exit_code, report.files.removed) == (5, 1)
    assert shown(report.left_out) == {"id_rsa": "secret"}
    assert workspace.status().files == 30


def test_few_files_that_make_up_most_of_the_chunks_are_named(notes, workspace, monkeypatch):
    monkeypatch.setattr(largest, "_MIN_CHUNKS", 60)
    for n in range(39):
        (notes / f"note{n}.md").write_text(f"Note {n}.\n")
    (notes / "large.md").write_text(paragraphs(120))

    report = workspace.index()

    assert [file.path.rpartition(b"/")[2] for file in report.largest] == [b"large.md"]
    (notes / "large.md").write_text("Short.\n")
    assert workspace.index().largest == ()
