"""Wrong values in the Python API are errors, not surprises."""

from __future__ import annotations

import pytest

import localembed
from localembed import Filter
from localembed.errors import UsageError


@pytest.mark.parametrize(
    "keywords",
    [{"mode": "foo"}, {"mode": ""}, {"top_k": 0}, {"top_k": -1}, {"top_k": 10**9}, {"top_k": True},
     {"top_k": 1.5}, {"model": ""}, {"filter": Filter(paths=("",))},
     {"filter": Filter(paths="*.md")},  # type: ignore[arg-type]
     {"filter": Filter(since_ns=2**63)}, {"filter": Filter(languages=("\udcff",))}],
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
