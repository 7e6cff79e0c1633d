"""A query shows a few chunks of each file, and names the places of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from localembed.errors import UsageError
from localembed.search.spread import is_wide, spread
from localembed.workspace.workspace import Workspace
from tests.conftest import paragraphs


@pytest.mark.parametrize(
    ("ranked", "count", "per_file", "expected"),
    [
        ("a1 a2 a3 b1 c1", 3, 2, [("a1", ["a3"]), ("a2", []), ("b1", [])]),
        ("a1 a2 a3 b1 c1", 3, 1, [("a1", ["a2", "a3"]), ("b1", []), ("c1", [])]),
        ("a1 a2 a3 b1 c1", 3, 0, [("a1", []), ("a2", []), ("a3", [])]),
        ("a1 a2 a3 a4", 3, 2, [("a1", []), ("a2", []), ("a3", [])]),
        ("a1 a2 a3 a4 b1", 4, 2, [("a1", ["a4"]), ("a2", []), ("b1", []), ("a3", [])]),
        ("b1 a1 a2 a3", 2, 1, [("b1", []), ("a1", [])]),
        ("", 3, 2, []),
    ],
)
def test_a_file_has_few_items_among_the_first(ranked, count, per_file, expected):
    assert spread(ranked.split(), lambda item: item[0], count, per_file) == expected


def test_a_longer_list_begins_with_the_shorter_one():
    ranked = [f"{'aaab'[n % 4]}{n}" for n in range(40)]
    orders = [[item for item, _ in spread(ranked, lambda i: i[0], n, 2)] for n in (3, 10, 25)]
    assert orders[1][:3] == orders[0]
    assert orders[2][:10] == orders[1]


def test_a_pool_is_wide_if_enough_remains_of_it():
    assert not is_wide("aaaab", str, 4, 2)
    assert is_wide("aaaab", str, 3, 2)
    assert is_wide("aaaab", str, 5, 0)


@pytest.fixture
def book(workspace, notes) -> Workspace:
    """A long file and six short ones, all about kettles."""
    (notes / "book.md").write_text(
        "\n\n".join(
            f"# Kettle {n}\n\n{'kettle ' * (n + 1)} {paragraphs(3, str(n))}" for n in range(30)
        )
    )
    for n in range(6):
        (notes / f"{n}.md").write_text(f"A kettle, and {paragraphs(1, f'x{n}')}")
    workspace.index()
    return Workspace(workspace.folder)


@pytest.mark.parametrize("mode", ["hybrid", "vector", "text"])
def test_a_long_file_leaves_room_for_others(book, mode):
    hits = book.query("kettle", top_k=8, mode=mode)
    names = [Path(hit.path).name for hit in hits]
    assert names.count("book.md") == 2
    assert len(set(names)) == 7
    (best,) = (hit for hit in hits if hit.also)
    assert Path(best.path).name == "book.md"
    assert {place.score <= best.score for place in best.also} == {True}
    every = book.query("kettle", top_k=8, mode=mode, per_file=0)
    shown = {hit.chunk_id for hit in hits} | {place.chunk_id for place in best.also}
    assert {hit.chunk_id for hit in every} <= shown
    assert not any(hit.also for hit in every)


def test_few_files_do_not_make_few_hits(book):
    hits = book.query("kettle", top_k=20)
    assert len(hits) == 20
    names = [Path(hit.path).name for hit in hits]
    assert names[:8].count("book.md") == 2
    assert set(names[8:]) == {"book.md"}


def test_one_hit_of_each_file_however_deep_it_is_ranked(book):
    hits = book.query("kettle", top_k=7, per_file=1)
    assert len({hit.path for hit in hits}) == 7


def test_a_passage_like_another_comes_from_several_files(book):
    hits = book.query(like=f"{book.query('kettle', per_file=0)[0].chunk_id}", top_k=8)
    assert [Path(hit.path).name for hit in hits].count("book.md") == 2


def test_context_takes_what_a_file_has(book):
    text = book.context("kettle", budget=4000)
    assert text.count("book.md:") > 2
    assert book.context("kettle", budget=4000, per_file=1, top_k=7).count("book.md:") == 1


def test_the_maximum_is_a_setting(book, monkeypatch):
    monkeypatch.setenv("LOCALEMBED_PER_FILE", "1")
    names = [Path(hit.path).name for hit in book.query("kettle", top_k=7)]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("value", [-1, 10_001, True, "2", 1.5])
def test_an_impossible_maximum_is_refused(book, value):
    with pytest.raises(UsageError, match="per_file"):
        book.query("kettle", per_file=value)
