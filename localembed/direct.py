"""Embed texts without a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from localembed import catalog, clean, config
from localembed.embedding import load_embedder, load_tokenizer
from localembed.embedding.batching import split_evenly
from localembed.profiles import engine_options

if TYPE_CHECKING:
    from localembed.types import VectorMatrix


def embed_texts(texts: Sequence[str], model: str | None) -> VectorMatrix:
    """Return the vectors of texts, (len(texts), dim) float32 (see `localembed.embed`)."""
    settings = config.resolve({"model": model}, None).settings
    located = catalog.open_model(settings.model, dim=settings.dim)
    spec = located.spec
    if not texts:
        return np.zeros((0, spec.dim), np.float32)
    tokenizer = load_tokenizer(spec, located.folder)
    room = spec.max_tokens - tokenizer.special_tokens
    prompt = tokenizer([spec.document_prompt])[0].ids
    ids = [t.ids for t in tokenizer([spec.document_prompt + clean.clean(t) for t in texts])]
    pieces_of = [split_evenly(item, room, prompt) for item in ids]
    pieces = [piece for part in pieces_of for piece in part]
    parts = [len(part) for part in pieces_of]
    asked = engine_options(settings, located.space_id)
    options = replace(asked, job_tokens=sum(map(len, pieces)))
    embedder = load_embedder(spec, located.folder, options)
    vectors = embedder.embed_documents(pieces, lambda _: None)
    if len(pieces) == len(texts):
        return vectors
    starts = np.concatenate(([0], np.cumsum(parts)[:-1]))
    means = np.add.reduceat(vectors, starts, axis=0) / np.array(parts, np.float32)[:, None]
    if spec.normalize:
        means /= np.linalg.norm(means, axis=1, keepdims=True)
    return means.astype(np.float32)
