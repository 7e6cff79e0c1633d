"""How well the vectors of a model rank SciFact: nDCG@10, recall@100 and MRR@10.

    python -m benchmarks.quality --data path/to/scifact --out benchmarks/results/quality-fp32.json

`--data` is a folder in BEIR's layout: corpus.jsonl, queries.jsonl and qrels.tsv (the test split).
Vectors alone are measured: one per document, title and text joined by a space as BEIR does, cut at
the most that the model reads. Ids and vectors come from this project's own tokenizer and embedder,
so a difference to the published value is a fault of ours. Published for all-MiniLM-L6-v2 in fp32:
nDCG@10 0.6451.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.machine import publish
from localembed import models
from localembed.embedding import EngineOptions, load_embedder, load_tokenizer
from localembed.evaluation.metrics import ndcg, recall, reciprocal_rank
from localembed.evaluation.questions import read_judgements, read_rows
from localembed.types.models import Embedder, ModelInput, Tokens

if TYPE_CHECKING:
    from localembed.types.arrays import Vector, VectorMatrix

TOP = 100
_WINDOW = 512
"""Documents embedded between two lines of progress."""

Judgements = Mapping[str, Mapping[str, int]]
"""Query → document → grade; only what is judged relevant."""


def main() -> None:
    """Embed the corpus and the queries, rank, and publish the averages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder in BEIR's layout")
    parser.add_argument("--model", default="all-MiniLM-L6-v2")
    parser.add_argument("--precision", choices=("fp32", "bf16", "auto"), default="fp32")
    parser.add_argument("--batch-tokens", type=int, help="padded tokens of one forward pass")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    model = models.open_model(arguments.model)
    embedder = load(model, arguments.precision, arguments.batch_tokens)
    documents = read_texts(arguments.data / "corpus.jsonl")
    judgements = relevant_documents(arguments.data)
    queries = read_texts(arguments.data / "queries.jsonl")
    begin = time.perf_counter()
    vectors, cut = embed(model, embedder, list(documents.values()))
    seconds = time.perf_counter() - begin
    asked = {query: embedder.embed_query(queries[query]) for query in judgements}
    ranked = rank(asked, list(documents), vectors)
    publish(
        {
            "model": arguments.model,
            "precision_asked": arguments.precision,
            "engine": asdict(embedder.use),
            "data": arguments.data.name,
            "documents": len(documents),
            "documents_cut": cut,
            "queries": len(judgements),
            **scores(ranked, judgements),
            "seconds_for_documents": round(seconds, 1),
        },
        arguments.out,
    )


def load(model: models.LocatedModel, precision: str, batch_tokens: int | None) -> Embedder:
    """Return the embedder; only here does the way of asking for it stand."""
    options = EngineOptions(precision=precision, batch_tokens=batch_tokens)
    return load_embedder(model.spec, model.folder, options)


def read_texts(path: Path) -> dict[str, str]:
    """Return id → text of a file of JSON lines, with the title in front where there is one."""
    return {row["_id"]: f"{row.get('title', '')} {row['text']}".strip() for row in read_rows(path)}


def relevant_documents(data: Path) -> dict[str, dict[str, int]]:
    """Return the relevant documents of each query that has any."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for query, document, grade in read_judgements(data):
        if grade > 0:
            found[query][document] = grade
    return dict(found)


def embed(
    model: models.LocatedModel, embedder: Embedder, texts: Sequence[str]
) -> tuple[VectorMatrix, int]:
    """Return (n, dim) float32 and how many texts were longer than the model reads."""
    tokenizer = load_tokenizer(model.spec, model.folder)
    room = model.spec.max_tokens - tokenizer.special_tokens
    prompted = [model.spec.document_prompt + text for text in texts]
    found = tokenizer(prompted)
    inputs = [_input(*pair, room) for pair in zip(prompted, found, strict=True)]
    parts = []
    for start in range(0, len(inputs), _WINDOW):
        parts.append(embedder.embed_documents(inputs[start:][:_WINDOW]).vectors)
        print(f"{min(start + _WINDOW, len(inputs))} of {len(inputs)} documents", file=sys.stderr)
    return np.concatenate(parts), sum(len(tokens.ids) > room for tokens in found)


def _input(text: str, tokens: Tokens, room: int) -> ModelInput:
    """Return as much of a text as the model reads."""
    if len(tokens.ids) <= room:
        return ModelInput(text, tokens.ids)
    return ModelInput(text[: tokens.ends[room - 1]], tokens.ids[:room])


def rank(
    asked: Mapping[str, Vector], names: Sequence[str], vectors: VectorMatrix
) -> dict[str, list[str]]:
    """Return the nearest documents of each query, best first; equals in the corpus's order."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    orders = {query: np.argsort(-(unit @ vector), kind="stable") for query, vector in asked.items()}
    return {query: [names[i] for i in order[:TOP]] for query, order in orders.items()}


def scores(ranked: Mapping[str, Sequence[str]], judgements: Judgements) -> dict[str, float]:
    """Return the averages over all queries, as trec_eval defines them."""
    rows = [
        ([right.get(name, 0) for name in ranked[query]], list(right.values()))
        for query, right in judgements.items()
    ]
    return {
        "ndcg_at_10": round(float(np.mean([ndcg(*row, 10) for row in rows])), 4),
        "recall_at_100": round(float(np.mean([recall(*row, 100) for row in rows])), 4),
        "mrr_at_10": round(float(np.mean([reciprocal_rank(row[0], 10) for row in rows])), 4),
    }


if __name__ == "__main__":
    main()
