"""A cross-encoder orders the best hits anew, when it is asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest
import tomlkit

from localembed.embedding import load_reranker
from localembed.errors import ModelChangedError, ModelNotFoundError, UsageError
from localembed.models.blocks import spec_block
from localembed.search import Reranking
from localembed.search.rerank import DEPTH
from localembed.types.models import ModelSpec
from localembed.types.queries import Query, SearchHit
from tests import families
from tests.conftest import paragraphs

SPEC = ModelSpec(
    name="tiny-reranker", backend="cross-encoder", sources=("path:/",), dim=1, max_tokens=64,
    pooling="none", normalize=False, license="none",
)  # fmt: skip


@pytest.fixture
def cross_encoder(tmp_path):
    """The folder of a small cross-encoder with random weights, and how to make another."""

    def make(labels: int, name: str):
        import torch
        from transformers import BertForSequenceClassification

        torch.manual_seed(5)
        tokenizer, bert = families._bert()
        config = bert.config
        config.num_labels = labels
        model = BertForSequenceClassification(config)
        torch.nn.init.normal_(model.classifier.weight, std=0.5)
        folder = tmp_path / name
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return make


def found(number: int, text: str) -> SearchHit:
    return SearchHit(
        chunk_id=str(number), score=1 / number, path="/d/a", start_line=1, end_line=1, start=0,
        end=len(text), heading="Top" if number == 1 else "", text=text, tokens=1, similarity=0.5,
        text_score=0.0, vector_rank=1, text_rank=None,
    )  # fmt: skip


def test_the_best_come_first_with_the_scores_of_the_reranker():
    shown = []

    def by_length(query, texts):
        shown.append((query, list(texts)))
        return [float(len(text)) for text in texts]

    hits = [found(1, "aaa"), found(2, "b"), found(3, "cc " * 9)]
    best = Reranking(by_length, "q").rerank(hits)
    assert [(hit.text, hit.score, hit.found_rank) for hit in best] == [
        ("cc " * 9, 27.0, 3),
        ("aaa", 7.0, 1),
        ("b", 1.0, 2),
    ]
    assert shown == [("q", ["Top\naaa", "b", "cc " * 9])]
    assert Reranking(by_length, "q").rerank([]) == ()


def test_scores_are_those_of_the_library(cross_encoder):
    from sentence_transformers import CrossEncoder

    folder = cross_encoder(1, "reranker")
    texts = ["rotating api keys", "the zebra runs", "keys " * 200]
    ours = load_reranker(SPEC, folder)("which keys", texts)
    theirs = CrossEncoder(str(folder), device="cpu", max_length=64).predict(
        [("which keys", text) for text in texts]
    )
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert ours.dtype == "float32"
    assert len({round(float(score), 4) for score in ours}) == 3


def test_a_model_of_several_labels_is_refused(cross_encoder):
    with pytest.raises(ModelChangedError, match="gives 3 numbers a pair"):
        load_reranker(SPEC, cross_encoder(3, "labels"))


def test_files_that_are_no_model_are_refused(tmp_path):
    with pytest.raises(ModelChangedError, match="cannot be loaded from"):
        load_reranker(SPEC, tmp_path)


@pytest.fixture
def known(workspace, notes, cross_encoder):
    """A workspace of many chunks, and a reranker it can name."""
    (notes / "a.md").write_text(paragraphs(40))
    workspace.index()
    block = spec_block(replace(SPEC, sources=(f"path:{cross_encoder(1, 'reranker')}",)))
    models = {"models": {SPEC.name: block}}
    workspace.layout.models.write_text(tomlkit.dumps(models))
    return workspace


def test_a_query_reads_more_than_it_shows(known, notes):
    plain = known.search(Query("pword3x7 pword9x1", top_k=DEPTH))
    best = known.search(Query("pword3x7 pword9x1", top_k=3, rerank="tiny-reranker"))
    assert len(best.hits) == 3
    assert [hit.score for hit in best.hits] == sorted(
        (hit.score for hit in best.hits), reverse=True
    )
    before = {hit.chunk_id: rank for rank, hit in enumerate(plain.hits, 1)}
    assert [hit.found_rank for hit in best.hits] == [before[hit.chunk_id] for hit in best.hits]
    assert max(hit.found_rank for hit in best.hits) > 3


def test_models_are_not_taken_for_what_they_are_not(known):
    with pytest.raises(UsageError, match="is not a reranker: its backend"):
        known.search(Query("words", rerank="fake"))
    with pytest.raises(ModelNotFoundError, match="Did you mean tiny-reranker"):
        known.search(Query("words", rerank="tiny-rerank"))
    with pytest.raises(UsageError, match=r"is a reranker\. Use it with: localembed query --rerank"):
        type(known)(known.folder, {"model": "tiny-reranker"}).index()


def test_the_command_explains_what_it_did(known, run_cli, notes):
    done = run_cli(
        "query", "pword3x7", "-k", "1", "--rerank", "tiny-reranker", "--explain", cwd=notes
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "before reranking" in done.stdout.splitlines()[1]
    done = run_cli("query", "--like", "a.md", "--rerank", "tiny-reranker", cwd=notes)
    assert done.returncode == 2
    assert "--rerank needs the text of a query" in done.stderr
