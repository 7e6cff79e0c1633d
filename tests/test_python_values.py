"""Wrong values in the Python API are errors, not surprises."""

# mypy: disable-error-code="arg-type"

from __future__ import annotations

import numpy as np
import pytest

import localembed
from localembed import Filter, Query
from localembed.errors import LocalembedError, UsageError


@pytest.mark.parametrize(
    "keywords",
    [{"mode": "foo"}, {"mode": ""}, {"top_k": 0}, {"top_k": -1}, {"top_k": 10**9}, {"top_k": True},
     {"top_k": 1.5}, {"model": ""}, {"filter": Filter(paths=("",))},
     {"filter": Filter(paths="*.md")},
     {"filter": None}, {"filter": "*.md"}, {"filter": Filter(since_ns=2**63)},
     {"filter": Filter(languages=("\udcff",))}],
    ids=str,
)  # fmt: skip
def test_a_query_with_a_wrong_value_is_refused(workspace, notes, keywords):
    (notes / "a.md").write_text("some words")
    workspace.index()

    with pytest.raises(UsageError, match="but must be"):
        workspace.query("words", **keywords)


@pytest.mark.parametrize(
    "keywords",
    [{"path": ("",)}, {"path": 5}, {"path": [5]}, {"lang": b"md"}, {"lang": {"md"}}, {"where": 5},
     {"since": 7}, {"since": "yesterday"}, {"since": "9999-01-01"}, {"since": ""},
     {"min_score": float("nan")}, {"min_score": float("inf")}, {"min_score": "1"},
     {"min_score": True}, {"rerank": 5}, {"at": 1}, {"at": ""}, {"at": "1", "model": "fake"},
     {"like": "a.md"}, {"path": "*.md", "filter": Filter(languages=("md",))}],
    ids=str,
)  # fmt: skip
def test_a_keyword_with_a_wrong_value_is_refused(workspace, notes, keywords):
    (notes / "a.md").write_text("some words")
    workspace.index()

    with pytest.raises(UsageError):
        workspace.query("words", **keywords)
    with pytest.raises(UsageError):
        workspace.context("words", **keywords)


@pytest.mark.parametrize(
    "keywords", [{"mode": "text"}, {"mode": "hybrid"}, {"rerank": "any"}, {"like": ""}, {"like": 1}]
)
def test_what_needs_a_text_is_refused_beside_like(workspace, notes, keywords):
    (notes / "a.md").write_text("some words")
    workspace.index()

    with pytest.raises(UsageError):
        workspace.query(**{"like": f"{notes}/a.md", **keywords})


@pytest.mark.parametrize("budget", [0, -1, 1.5, "9", True, None, float("nan")])
def test_a_budget_is_a_positive_whole_number(workspace, budget):
    with pytest.raises(UsageError, match="budget"):
        workspace.context("words", budget)


@pytest.mark.parametrize(
    "query",
    ["words", None, Query("words", allow_network="no"), Query("words", at="1", model="fake"),
     Query("words", lines=True), Query("words", filter=Filter(where=5)),
     Query("words", filter=Filter(paths=None)), Query("words", model=5)],
    ids=str,
)  # fmt: skip
def test_a_record_with_a_wrong_value_is_refused(workspace, notes, query):
    (notes / "a.md").write_text("some words")
    workspace.index()

    for ask in (workspace.search, workspace.like):
        with pytest.raises(UsageError):
            ask(query)


def test_other_wrong_values_are_refused_before_anything_is_done(workspace, notes):
    (notes / "a.md").write_text("some words")
    for call in (
        lambda: workspace.index(verify="no"),
        lambda: workspace.index(wait=1),
        lambda: workspace.index(None),
        lambda: workspace.index(options={"hiden": True}),
        lambda: workspace.index(options={"hidden": "no"}),
        lambda: workspace.index(options=None),
        lambda: workspace.index(on_event=None),
        lambda: workspace.index(on_notice="print"),
        lambda: workspace.preview(on_event=5),
        lambda: workspace.use_model(5),
        lambda: workspace.search(Query("words"), on_notice=5),
        lambda: workspace.show("a.md", at="1", model="fake"),
        lambda: workspace.history.compare(1, 2),
        lambda: workspace.history.restore(1),
        lambda: workspace.history.tag(5, None),
        lambda: workspace.history.tag("a", 5),
        lambda: workspace.history.garbage(-1),
        lambda: workspace.history.collect_garbage(True),
        lambda: localembed.Workspace(""),
        lambda: localembed.Workspace(5),
        lambda: localembed.Workspace(workspace.folder, {"topk": 3}),
        lambda: localembed.Workspace(workspace.folder, 5),
        lambda: localembed.doctor(str(workspace.folder)),
        lambda: localembed.doctor(workspace, repair="no"),
        lambda: localembed.prove_offline(None),
        lambda: localembed.trust(""),
        lambda: localembed.trust(5),
        lambda: localembed.distrust(""),
        lambda: localembed.open(""),
        lambda: localembed.open(5),
        lambda: localembed.open(notes, create="no"),
    ):
        with pytest.raises(UsageError):
            call()
    assert workspace.status().files == 0


@pytest.mark.parametrize(
    "flags", [{"top_k": 0}, {"top_k": float("nan")}, {"top_k": True}, {"mode": "foo"}], ids=str
)
def test_settings_are_checked_as_those_of_the_command_line(workspace, notes, flags):
    with pytest.raises(UsageError, match="but must be"):
        localembed.Workspace(workspace.folder, flags).query("words")


def test_a_setting_with_a_typing_error_names_the_nearest(workspace):
    with pytest.raises(UsageError, match=r"no setting 'topk'\. Did you mean top_k"):
        localembed.Workspace(workspace.folder, {"topk": 3})


@pytest.mark.parametrize("texts", ["one text", b"bytes", ""])
def test_one_text_to_embed_is_refused_with_the_right_call(fake, texts):
    with pytest.raises(UsageError, match=r"embed\(\[text\]\)"):
        localembed.embed(texts)


@pytest.mark.parametrize("texts", [[b"bytes"], [1], ["\udcff"], None, 5, {"a": 1}, {"a"}, [None]])
def test_only_lists_of_texts_are_embedded(fake, texts):
    with pytest.raises(UsageError):
        localembed.embed(texts)


@pytest.mark.parametrize("keywords", [{"kind": "passage"}, {"kind": None}, {"model": 5}])
def test_embedding_with_a_wrong_value_is_refused(fake, keywords):
    for texts in (["words"], []):
        with pytest.raises(UsageError):
            localembed.embed(texts, **keywords)


@pytest.mark.parametrize("kind", ["document", "query"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_shape_of_vectors_does_not_depend_on_how_many_they_are(fake, kind, count):
    texts = ["", "word " * 500, "some words"][:count]

    for given in (texts, tuple(texts), iter(texts)):
        vectors = localembed.embed(given, kind=kind)
        assert vectors.shape == (count, 32)
        assert vectors.dtype == np.float32


def test_a_folder_that_does_not_exist_is_made_only_if_told_to(tmp_path, fake):
    place = tmp_path / "deep" / "mistyped"
    with pytest.raises(UsageError, match=r"There is no folder .*create=True"):
        localembed.open(place)
    assert not place.parent.exists()

    assert localembed.open(place, create=True).folder == place / ".localembed"
    assert localembed.open(place).folder == place / ".localembed"


@pytest.mark.parametrize("name", ["file", "file/below", "n" * 300, "~nouser/notes", "a\0b"])
def test_a_folder_that_cannot_be_is_an_error_with_a_sentence(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("words")
    with pytest.raises(UsageError):
        localembed.open(name)
    if name != "~nouser/notes":
        with pytest.raises(LocalembedError):
            localembed.open(name, create=True)
    assert (tmp_path / "file").read_text() == "words"


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
