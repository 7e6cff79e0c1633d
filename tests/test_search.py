"""What a query finds, and in which order."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import localembed
from localembed.errors import ModelChangedError, NotIndexedError, UsageError
from localembed.search.fusion import TEXT_DEPTH, fuse
from localembed.store.lance.candidates import Candidate
from localembed.types.limits import Limits
from localembed.types.queries import Filter, SearchHit
from localembed.workspace.workspace import Workspace
from tests import fake_backend
from tests.conftest import paragraphs


def candidate(
    name: str, similarity: float, text_score: float = 0.0, document: str = ""
) -> Candidate:
    return Candidate(
        row_id=0,
        chunk_id=name.encode(),
        doc_id=(document or name).encode(),
        similarity=similarity,
        text_score=text_score,
    )


def names(ranked) -> list[str]:
    return [entry.chunk_id.decode() for _, entry in ranked]


def test_the_plain_vector_order_stands_without_text_hits():
    by_vector = [candidate("a", 0.8), candidate("b", 0.5)]
    assert [(score, c.chunk_id) for score, c in fuse("words", by_vector, [])] == [
        (0.8, b"a"),
        (0.5, b"b"),
    ]


def test_text_moves_a_close_match_up():
    by_vector = [candidate("a", 0.50), candidate("b", 0.45)]
    by_text = [candidate("b", 0.45, 12.0)]
    assert names(fuse("some words", by_vector, by_text)) == ["b", "a"]
    score = {c.chunk_id: s for s, c in fuse("some words", by_vector, by_text)}[b"b"]
    assert score == pytest.approx(0.45 + 1.8 * 0.5 * 12 / 32)


def test_the_bonus_shrinks_as_the_best_vector_match_gets_surer():
    by_text = [candidate("b", 0.45, 12.0)]
    sure = fuse("some words", [candidate("a", 0.99)], by_text)
    assert names(sure) == ["a", "b"]


def test_the_document_of_a_pasted_query_does_not_silence_the_words_of_the_others():
    own, own_end = candidate("own", 1.0, 400.0, "it"), candidate("end", 0.9, 100.0, "it")
    near, named = candidate("near", 0.62, 40.0), candidate("named", 0.60, 180.0)
    by_text = [own, named, own_end, near]
    ranked = fuse("a long passage", [own, own_end, near, named], by_text)
    assert names(ranked) == ["own", "end", "named", "near"]
    score = {c.chunk_id: s for s, c in ranked}[b"named"]
    assert score == pytest.approx(0.60 + 1.8 * (1 - 0.62) * 180 / (180 + 20))


def test_a_surest_match_that_is_not_first_by_words_counts_like_any_other():
    sure, named = candidate("sure", 0.9, 5.0), candidate("named", 0.6, 30.0)
    score = {c.chunk_id: s for s, c in fuse("some words", [sure, named], [named, sure])}
    assert score[b"named"] == pytest.approx(0.6 + 1.8 * (1 - 0.9) * 30 / 50)


def test_an_identifier_weighs_text_more_than_words_do():
    by_vector = [candidate("a", 0.60), candidate("b", 0.10)]
    by_text = [candidate("b", 0.10, 3.0)]
    assert names(fuse("two words", by_vector, by_text)) == ["a", "b"]
    assert names(fuse("parse_config", by_vector, by_text)) == ["b", "a"]
    assert names(fuse("parseConfig()", by_vector, by_text)) == ["b", "a"]
    assert names(fuse("word", by_vector, by_text)) == ["a", "b"]


def test_candidates_tied_at_the_cut_get_no_bonus():
    by_text = [candidate(f"{n:03}", 0.1, 5.0) for n in range(TEXT_DEPTH)]
    assert {round(score, 9) for score, _ in fuse("two words", [], by_text)} == {0.1}


def test_equal_scores_are_ordered_the_same_every_time():
    tied = [candidate(name, 0.5) for name in "cab"]
    assert names(fuse("x y", tied, [])) == ["a", "b", "c"]


def test_more_hits_begin_with_the_same_hits(workspace, notes):
    for n in range(40):
        (notes / f"{n}.md").write_text(f"shared subject number{n} " + "filler " * (n % 7))
    workspace.index()
    few = workspace.query("shared subject number7", top_k=5)
    many = workspace.query("shared subject number7", top_k=20)
    assert [hit.chunk_id for hit in many[:5]] == [hit.chunk_id for hit in few]
    assert [hit.score for hit in many] == sorted((hit.score for hit in many), reverse=True)


def test_each_mode_finds_its_kind_of_match(workspace, notes):
    (notes / "words.md").write_text("The kettle boils water for tea")
    (notes / "code.py").write_text("def parseConfigFile(path):\n    return path\n")
    workspace.index()
    for mode in ("hybrid", "vector", "text"):
        assert Path(workspace.query("kettle tea", mode=mode)[0].path).name == "words.md"
    assert Path(workspace.query("config", mode="text")[0].path).name == "code.py"
    assert Path(workspace.query("parseConfigFile", mode="text")[0].path).name == "code.py"


def test_full_text_finds_names_headings_and_other_scripts(workspace, notes):
    (notes / "quarterly_report.md").write_text("# Invoices\n\nNothing else is said here.")
    (notes / "zh.md").write_text("他在北京大学学习计算机科学。")
    workspace.index()
    assert Path(workspace.query("quarterly", mode="text")[0].path).name == "quarterly_report.md"
    assert workspace.query("invoice", mode="text")[0].heading == "Invoices"
    assert Path(workspace.query("北京", mode="text")[0].path).name == "zh.md"


@pytest.mark.parametrize("query", ['"', "a AND", "()", "the of and", "x" * 5000, "🦆", "'; DROP"])
def test_odd_queries_are_answered(workspace, notes, query):
    (notes / "a.md").write_text("some words")
    workspace.index()
    for mode in ("hybrid", "text"):
        assert isinstance(workspace.query(query, mode=mode), list)


def test_an_empty_query_is_refused(workspace):
    with pytest.raises(UsageError, match="empty"):
        workspace.query("  \n")


def test_nothing_indexed_is_said(workspace):
    with pytest.raises(NotIndexedError, match="localembed index"):
        workspace.query("words")


def test_a_hit_can_be_found_again_in_the_file(workspace, notes):
    (notes / "a.md").write_text("# One\r\n\r\nfirst words\r\n\r\n# Two\r\n\r\nzebra words\r\n")
    workspace.index()
    hit = workspace.query("zebra", mode="text")[0]
    text = (notes / "a.md").read_bytes().decode()
    assert text[hit.start : hit.end] == hit.text
    lines = text.split("\n")[hit.start_line - 1 : hit.end_line]
    assert "zebra words\r" in lines


def test_a_query_works_on_a_workspace_that_cannot_be_written(workspace, notes):
    (notes / "a.md").write_text("zebra words")
    workspace.index()
    for path in (workspace.folder, *workspace.folder.rglob("*")):
        path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    before = {p: p.stat().st_mtime_ns for p in workspace.folder.rglob("*")}
    assert workspace.query("zebra")
    assert {p: p.stat().st_mtime_ns for p in workspace.folder.rglob("*")} == before


def test_a_query_with_other_model_files_is_refused(workspace, notes, own_home):
    (notes / "a.md").write_text("zebra words")
    workspace.index()
    (own_home / "config" / "fake-model" / "config.json").write_text('{"changed": 1}')
    with pytest.raises(ModelChangedError, match="not those the index was built with"):
        workspace.query("zebra", mode="vector")
    assert workspace.query("zebra", mode="text")


@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize("looked_at", [Filter(), Filter(paths=("*.md",))])
def test_a_version_that_vanished_is_looked_up_again(
    workspace, notes, monkeypatch, looked_at, opened
):
    from localembed.search import searcher
    from localembed.store.head import read_head
    from localembed.store.lance.connection import connect

    (notes / "a.md").write_text("zebra words")
    workspace.index()
    before = read_head(workspace.layout)
    if opened:
        assert workspace.query("stripes", mode="text") == []
    (notes / "a.md").write_text("zebra lines")
    (notes / "b.md").write_text("zebra stripes")
    workspace.index()
    import datetime
    import warnings

    table = connect(workspace.layout.vectors).open_table(workspace.status().table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table.optimize(cleanup_older_than=datetime.timedelta(0), delete_unverified=True)
    # The clean-up made a version of its own; what head.json pins now must still be there.
    workspace_version = workspace.status().version
    (notes / "c.md").write_text("zebra herd")
    workspace.index()

    heads = [before]
    monkeypatch.setattr(
        searcher, "read_head", lambda layout: heads.pop() if heads else read_head(layout)
    )
    hits = workspace.query("zebra", mode="text", filter=looked_at)

    assert workspace_version == 2
    assert len(hits) == 3
    assert not heads


def test_a_workspace_that_is_asked_again_opens_nothing_again(workspace, notes, monkeypatch):
    from localembed.store.lance import connection, read_rows

    opened = []
    open_table = connection.open_table
    monkeypatch.setattr(
        read_rows, "open_table", lambda *given: opened.append(given) or open_table(*given)
    )
    (notes / "a.md").write_text("zebra words")
    workspace.index()
    loaded = workspace.query("zebra") and workspace._models._pool.loaded()
    workspace.query("words")
    assert len(opened) == 1
    (notes / "b.md").write_text("zebra stripes")
    workspace.index()
    assert len(workspace.query("zebra", mode="text")) == 2
    workspace.query("zebra")
    assert len(opened) == 2
    assert workspace._models._pool.loaded() == loaded


def test_the_library_reads_as_the_readme_says(notes, fake):
    (notes / "keys.md").write_text("Rotating API keys takes three steps.")
    ws = localembed.open(notes)
    report = ws.index()
    assert report.files.added == 1
    hits = ws.query("rotating api keys", top_k=5)
    assert [(hit.path, hit.start_line) for hit in hits] == [(os.fspath(notes / "keys.md"), 1)]
    assert hits[0].score > 0.5
    vectors = localembed.embed(["any text", "another"])
    assert vectors.shape == (2, 32)
    assert str(vectors.dtype) == "float32"
    long = localembed.embed([paragraphs(20), "any text"])
    assert (long[1] == vectors[0]).all()
    assert localembed.embed([]).shape == (0, 32)


def test_a_workspace_is_found_from_a_folder_below(workspace, notes, monkeypatch):
    deep = notes / "a" / "b"
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    assert localembed.open().folder == workspace.folder
    monkeypatch.setenv("LOCALEMBED_WORKSPACE", str(notes / "named"))
    assert localembed.open().folder == notes / "named"


def test_the_workspace_is_private(workspace, notes):
    (notes / "a.md").write_text("words")
    workspace.index()
    assert stat.S_IMODE(workspace.folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", ["vector", "hybrid"])
def test_vectors_in_memory_rank_as_those_on_disk(workspace, notes, fake, mode):
    (notes / "a.md").write_text(paragraphs(60))
    (notes / "b.md").write_text("zebra stripes")
    workspace.index()
    fake.broken = {fake_backend._tokens("unembeddable").ids[0]}
    (notes / "c.md").write_text("unembeddable zebra")
    (notes / "d.md").write_text("zebra crossing")  # in another fragment than the first zebra
    workspace.index()
    for top_k in (1, 7, 1000):
        for query in ("zebra", "pword3x7 pword5x2 paragraph"):
            fresh = Workspace(workspace.folder)
            from_disk = fresh.query(query, mode=mode, top_k=top_k)
            in_memory = fresh.query(query, mode=mode, top_k=top_k)
            assert [_without_scores(hit) for hit in in_memory] == [
                _without_scores(hit) for hit in from_disk
            ]
            scores = np.array([[hit.score for hit in hits] for hits in (from_disk, in_memory)])
            assert np.abs(scores[0] - scores[1]).max() < 1e-6
            found = any(hit.text.startswith("unembeddable") for hit in in_memory)
            assert found == (mode == "hybrid" and query == "zebra" and top_k > 1)


def _without_scores(hit: SearchHit) -> SearchHit:
    return replace(hit, score=0.0, similarity=round(hit.similarity, 5))


def test_only_the_best_of_what_text_brings_up_is_read(workspace, notes, monkeypatch):
    from localembed.store.lance import read_rows

    for n in range(30):
        (notes / f"{n}.md").write_text(f"zebra number {n}")
    workspace.index()
    read = []
    chunks = read_rows._chunks

    def counted(rows):
        read.append(rows.num_rows)
        return chunks(rows)

    monkeypatch.setattr(read_rows, "_chunks", counted)
    for _ in range(3):
        assert len(workspace.query("zebra", top_k=4)) == 4
    assert read == [4, 4, 4]


def test_vectors_that_do_not_fit_stay_on_disk(workspace, notes, monkeypatch):
    from localembed.store.lance import read_rows

    monkeypatch.setattr(read_rows, "NearestInMemory", None)
    workspace = Workspace(workspace.folder, limits=Limits(memory_index_bytes=100))
    (notes / "a.md").write_text("zebra stripes")
    workspace.index()
    assert [len(workspace.query("zebra", mode="vector")) for _ in range(3)] == [1, 1, 1]
