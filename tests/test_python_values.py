"""Wrong values in the Python API are errors, not surprises."""

from __future__ import annotations

import pytest

import localembed
from localembed import Filter, Query
from localembed.errors import UsageError


@pytest.mark.parametrize(
    "keywords",
    [{"mode": "foo"}, {"mode": ""}, {"top_k": 0}, {"top_k": -1}, {"top_k": 10**9}, {"top_k": True},
     {"top_k": 1.5}, {"model": ""}, {"filter": Filter(paths=("",))},
     {"filter": Filter(paths="*.md")},  # type: ignore[arg-type]
     {"filter": None}, {"filter": "*.md"}, {"filter": Filter(since_ns=2**63)},
     {"filter": Filter(languages=("\udcff",))}],
    ids=str,
)  # fmt: skip
def test_a_query_with_a_wrong_value_is_refused(workspace, notes, keywords):
    (notes / "a.md").write_text("some words")
    workspace.index()

    with pytest.raises(UsageError, match="but must be"):
        workspace.query("words", **keywords)


@pytest.mark.parametrize("texts", ["one text", b"bytes", [b"bytes"], [1], ["\udcff"]])
def test_only_lists_of_texts_are_embedded(fake, texts):
    with pytest.raises(UsageError):
        localembed.embed(texts)


def test_a_folder_that_does_not_exist_is_not_made(tmp_path):
    with pytest.raises(UsageError, match="There is no folder"):
        localembed.open(tmp_path / "mistyped")
    assert not (tmp_path / "mistyped").exists()


def test_patterns_of_roots_are_text(workspace):
    for include in ("*.md", ("\udcff",), ("",)):
        with pytest.raises(UsageError, match="but must be"):
            workspace.index(options={"include": include})


@pytest.mark.parametrize("text", [None, 1, b"bytes", ["words"]])
def test_a_query_is_text(workspace, notes, text):
    (notes / "a.md").write_text("some words")
    workspace.index()

    with pytest.raises(UsageError, match="but must be text"):
        workspace.query(text)


@pytest.mark.parametrize("path", ["", "a\0b", b"", None, 1])
def test_what_is_no_path_is_refused(workspace, notes, path):
    (notes / "a.md").write_text("some words")
    workspace.index()

    for call in (
        lambda: workspace.index([path]),
        lambda: workspace.preview([path]),
        lambda: workspace.remove(path),
        lambda: workspace.show(path),
        lambda: workspace.like(Query(path or "\0")),
        lambda: workspace.move_root(path, notes),
        lambda: workspace.move_root(notes, path),
    ):
        with pytest.raises(UsageError):
            call()
    assert len(workspace.query("words")) == 1


def test_one_path_is_not_taken_for_several(workspace):
    with pytest.raises(UsageError, match="one path, but must be several"):
        workspace.index("notes")


@pytest.mark.parametrize("cost", [-1, float("nan"), float("inf"), "5", True])
def test_a_limit_of_costs_is_an_amount(workspace, cost):
    with pytest.raises(UsageError, match="max_cost"):
        workspace.index(max_cost=cost)


@pytest.mark.parametrize("digits", ["9" * 10, "9" * 30, "9" * 5000, "0" * 5000 + "9"])
def test_a_line_may_have_any_number_of_digits(workspace, notes, digits):
    (notes / "a.md").write_text("some words")
    workspace.index()

    assert workspace.show(f"{notes}/a.md:{digits}") == []
    assert workspace.show(f"{notes}/a.md:{'0' * 5000}1") != []
    with pytest.raises(UsageError, match="is not indexed"):
        workspace.like(Query(f"{notes}/a.md:{digits}"))
