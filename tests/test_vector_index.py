"""A table too large to compare all vectors gets an index, which is measured."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from localembed.cli.render.status_page import status_text
from localembed.store.head import publish_head, read_head
from localembed.store.lance.connection import connect
from localembed.types.limits import Limits
from localembed.types.queries import Filter
from localembed.workspace.workspace import Workspace
from tests.conftest import current_table, paragraphs

SMALL = Limits(exact_rows=250, vector_slack=30, exact_filtered_rows=50, memory_index_bytes=0)
"""A table of 300 rows is a large one, and no vectors are kept in memory."""


@pytest.fixture
def small(workspace) -> Workspace:
    """The workspace of `notes` with small limits."""
    return Workspace(workspace.folder, limits=SMALL)


def indexed_rows(workspace):
    handle = connect(workspace.layout.vectors).open_table(workspace.status().table)
    names = [index.name for index in handle.list_indices() if list(index.columns) == ["vector"]]
    return [int(handle.index_stats(name).num_indexed_rows) for name in names]


def fill(notes, files, seed):
    for number in range(files):
        (notes / f"{seed}{number}.txt").write_text(paragraphs(20, f"{seed}{number}"))


def test_a_small_table_has_none(workspace, notes):
    fill(notes, 2, "a")
    workspace.index()
    assert indexed_rows(workspace) == []
    assert workspace.status().vector_index is None
    assert "Vectors" not in status_text(workspace.status())


def test_a_large_table_is_indexed_measured_and_searched(small, notes):
    workspace = small
    fill(notes, 20, "a")
    (notes / "z.txt").write_text("the zebra runs")
    report = workspace.index()
    status = workspace.status()
    assert indexed_rows(workspace) == [report.chunks.total]
    assert status.vector_index.recall >= 0.9
    assert f"indexed, recall@10 {status.vector_index.recall:.2f}" in status_text(status)
    for mode in ("vector", "hybrid"):
        assert workspace.query("the zebra runs", mode=mode)[0].path.endswith("z.txt")
    assert len(workspace.query("the zebra runs", mode="vector", top_k=100)) == 100


@pytest.mark.parametrize("exact_rows", [50, 0])
def test_all_that_a_filter_leaves_is_found(workspace, notes, exact_rows):
    limits = replace(SMALL, exact_filtered_rows=exact_rows)
    workspace = Workspace(workspace.folder, limits=limits)
    fill(notes, 40, "a")
    (notes / "ten").mkdir()
    for number in range(10):
        (notes / "ten" / f"{number}.txt").write_text(f"other things {number}")
    workspace.index()
    head = read_head(workspace.layout)
    name, entry = current_table(workspace)
    assert entry.vector_index is not None
    one = replace(entry, vector_index=replace(entry.vector_index, probes=1))
    publish_head(workspace.layout, head.with_table(name, one, default=True))
    looked_at = Filter(paths=("ten/",))
    for query in ("pword3x7", "zebra"):
        assert len(workspace.query(query, mode="vector", top_k=10, filter=looked_at)) == 10


def test_an_index_that_nobody_measured_is_made_anew(small, notes):
    workspace = small
    fill(notes, 20, "a")
    workspace.index()
    workspace.layout.head.unlink()
    workspace.index()
    assert workspace.status().vector_index.recall >= 0.9


def test_a_table_that_shrank_compares_all(small, notes):
    workspace = small
    fill(notes, 20, "a")
    workspace.index()
    for path in list(notes.glob("*.txt"))[3:]:
        path.unlink()
    workspace.index(allow_mass_delete=True)
    fill(notes, 5, "b")
    workspace.index()
    assert workspace.status().chunks <= 250
    assert workspace.status().vector_index is None
    assert workspace.query("pword3x7", mode="vector")


def test_it_is_made_anew_when_many_rows_stand_outside(small, notes):
    workspace = small
    fill(notes, 20, "a")
    before = workspace.index().chunks.total
    (notes / "few.txt").write_text("the zebra runs")
    workspace.index()
    assert indexed_rows(workspace) == [before]
    assert workspace.query("the zebra runs", mode="vector")[0].path.endswith("few.txt")
    recall = workspace.status().vector_index.recall
    assert recall is not None
    fill(notes, 6, "b")
    after = workspace.index().chunks.total
    assert indexed_rows(workspace) == [after]


def test_a_version_with_its_index_survives_a_new_process(small, notes):
    workspace = small
    fill(notes, 20, "a")
    workspace.index()
    head = json.loads(workspace.layout.head.read_text())
    entry = head["tables"][head["default"]]
    handle = connect(workspace.layout.vectors).open_table(head["default"])
    assert handle.version == entry["lance_version"]
    assert not Workspace(workspace.folder).index().changed


def test_rows_without_a_vector_do_no_harm(small, notes, fake):
    workspace = small
    from tests.fake_backend import _tokens

    fake.broken.add(int(_tokens("unembeddable").ids[0]))
    (notes / "0.txt").write_text("unembeddable")
    fill(notes, 20, "a")
    workspace.index()
    assert workspace.status().vector_index.recall >= 0.9


def test_the_first_query_and_later_ones_show_the_same_scores(workspace, notes):
    """From the second on, vectors are in memory; not even the last digit differs."""
    for number in range(60):
        words = f"zebra{number} stripes{number % 7} of word{number % 5}"
        (notes / f"{number}.md").write_text(words)
    workspace.index([notes])
    seen = [
        [(hit.chunk_id, hit.score, hit.similarity) for hit in workspace.query(query, top_k=30)]
        for _ in range(3)
        for query in ("zebra7 stripes3", "zebra9 stripes1 word2", "word4 of stripes")
    ]
    assert seen[:3] == seen[3:6] == seen[6:]
