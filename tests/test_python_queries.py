"""Queries of the Python API: the keywords of `Workspace.query`, `context` and `embed`."""

from __future__ import annotations

import datetime
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import localembed
from localembed import Filter
from tests.conftest import paragraphs


@pytest.fixture
def indexed(workspace, notes):
    (notes / "keys.md").write_text("Rotating api keys takes three steps.")
    (notes / "keys.py").write_text("# rotating api keys")
    (notes / "wine.md").write_text("Red wine with cheese.")
    os.utime(notes / "wine.md", (1_000_000_000,) * 2)
    workspace.index()
    return workspace


def names(hits):
    return sorted(Path(hit.path).name for hit in hits)


@pytest.mark.parametrize(
    ("keywords", "filter"),
    [
        ({"path": "*.py"}, Filter(paths=("*.py",))),
        ({"path": ["*.py", "wine*"]}, Filter(paths=("*.py", "wine*"))),
        ({"lang": "md"}, Filter(languages=("md",))),
        ({"lang": ("python", "md")}, Filter(languages=("python", "md"))),
        ({"where": "tokens > 6"}, Filter(where="tokens > 6")),
        ({"since": "2w"}, Filter(since_ns=2 * 10**18 // 2)),
        ({"path": "*.md", "since": "7d"}, Filter(paths=("*.md",), since_ns=10**18 + 1)),
    ],
    ids=str,
)
def test_plain_keywords_are_the_filter(indexed, keywords, filter):
    plain = indexed.query("rotating api keys", **keywords)

    assert plain
    assert {hit.chunk_id for hit in plain} <= {
        hit.chunk_id for hit in indexed.query("rotating api keys", filter=filter)
    }
    assert len(plain) < 3 or "lang" in keywords


@pytest.mark.parametrize(
    ("since", "found"),
    [
        ("1h", ["keys.md", "keys.py"]),
        ("2000-01-01", ["keys.md", "keys.py", "wine.md"]),
        (datetime.datetime(2010, 1, 1), ["keys.md", "keys.py"]),
        (datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC), ["keys.md", "keys.py", "wine.md"]),
        ("2200-01-01", []),
    ],
    ids=str,
)
def test_since_is_what_the_command_line_takes_or_a_datetime(indexed, since, found):
    assert names(indexed.query("rotating api keys", since=since)) == found


def test_a_minimum_score_drops_the_hits_below_it(indexed):
    first, second, *_ = indexed.query("rotating api keys", mode="vector")
    between = (first.score + second.score) / 2

    kept = indexed.query("rotating api keys", mode="vector", min_score=between)

    assert [hit.chunk_id for hit in kept] == [first.chunk_id]
    assert indexed.query("rotating api keys", mode="vector", min_score=2) == []


def test_an_earlier_version_is_searched(indexed, notes):
    first = str(indexed.status().version)
    (notes / "wine.md").unlink()
    indexed.index(allow_mass_delete=True)

    assert "wine.md" not in names(indexed.query("red wine"))
    assert "wine.md" in names(indexed.query("red wine", at=first))


def test_like_finds_what_resembles_a_passage(indexed, notes):
    hits = indexed.query(like=f"{notes}/keys.md", path="*.py")

    assert names(hits) == ["keys.py"]
    assert "[1]" in indexed.context(like=f"{notes}/keys.md")


def test_like_compares_vectors_whatever_mode_is_set(indexed, notes, run_cli):
    of_text = localembed.Workspace(indexed.folder, {"mode": "text"})

    assert of_text.query(like=f"{notes}/keys.md")
    done = run_cli(
        "query", "--like", f"{notes}/keys.md", cwd=notes, env={"LOCALEMBED_MODE": "text"}
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("budget", [1, 8, 40, 2000])
def test_context_is_that_of_the_command_line(indexed, run_cli, notes, monkeypatch, budget):
    (notes / "long.md").write_text(paragraphs(3, "key"))
    indexed.index()
    monkeypatch.chdir(notes)

    done = run_cli(
        "query", "rotating api keys", "--format", "context", "--budget", str(budget), cwd=notes
    )

    assert indexed.context("rotating api keys", budget) == done.stdout
    assert bool(done.stdout) == (budget > 1)


def test_context_takes_the_keywords_of_a_query(indexed):
    assert "keys.py:1-1" in indexed.context("rotating api keys", 100, path="*.py", top_k=1)
    assert indexed.context("rotating api keys", path="*.none") == ""
    with pytest.raises(TypeError, match="pth"):
        indexed.context("rotating api keys", pth="*.py")


def test_queries_and_documents_have_prompts_of_their_own(tiny_models, known_prompts):
    text = "rotating api keys"
    vectors = {
        kind: localembed.embed([text], model="prompted", kind=kind)[0]
        for kind in ("document", "query")
    }

    plain = localembed.embed([f"to search: {text}", f"to find: {text}"], model="tiny-bert")
    np.testing.assert_allclose(vectors["query"], plain[0], atol=1e-5)
    np.testing.assert_allclose(vectors["document"], plain[1], atol=1e-5)


@pytest.fixture
def known_prompts(tiny_models, own_home):
    """Know the tiny transformer by another name, with prompts."""
    from dataclasses import replace

    from localembed.models import load_specs
    from tests.registry import write_registry

    spec = load_specs()["tiny-bert"]
    prompted = replace(
        spec, name="prompted", query_prompt="to search: ", document_prompt="to find: "
    )
    write_registry(own_home / "config", [spec, prompted])


def test_a_query_is_embedded_as_the_search_embeds_it(known_prompts, notes, monkeypatch):
    monkeypatch.setenv("LOCALEMBED_MODEL", "prompted")
    monkeypatch.setenv("LOCALEMBED_PRECISION", "fp32")
    (notes / "a.md").write_text("some words")
    workspace = localembed.open(notes)
    workspace.index()
    (hit,) = workspace.query("rotating api keys", mode="vector")

    query = localembed.embed(["rotating api keys"], kind="query")
    document = localembed.embed(["some words"])

    assert float(query[0] @ document[0]) == pytest.approx(hit.similarity, abs=2e-3)


def test_threads_share_one_workspace(indexed, notes):
    """Each answer is that of the same call alone."""
    calls = [
        lambda: indexed.query("rotating api keys", mode="hybrid"),
        lambda: indexed.query("red wine", mode="text"),
        lambda: indexed.query("cheese", mode="vector", path="*.md"),
        lambda: indexed.query(like=f"{notes}/keys.md"),
        lambda: indexed.context("red wine", 100),
        lambda: indexed.show(f"{notes}/wine.md"),
        lambda: indexed.status().chunks,
        lambda: localembed.embed(["red wine"], kind="query").tolist(),
    ]
    for _ in range(2):  # from the second time on, vectors are read from memory
        alone = [call() for call in calls]

    with ThreadPoolExecutor(8) as pool:
        for _ in range(4):
            assert [done.result() for done in [pool.submit(call) for call in calls]] == alone
