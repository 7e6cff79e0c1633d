"""Embed texts without a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from localembed import catalog, clean, config
from localembed.embedding import load_embedder, load_tokenizer

if TYPE_CHECKING:
    from localembed.types import VectorMatrix


def embed_texts(texts: Sequence[str], model: str | None) -> VectorMatrix:
    """Return the vectors of texts, (len(texts), dim) float32 (see `localembed.embed`)."""
    settings = config.resolve({"model": model}, None).settings
    located = catalog.open_model(settings.model)
    spec = located.spec
    if not texts:
        return np.zeros((0, spec.dim), np.float32)
    tokenizer = load_tokenizer(spec, located.folder)
    room = (
        spec.max_tokens - tokenizer.special_tokens - len(tokenizer([spec.document_prompt])[0].ids)
    )
    ids = [tokens.ids for tokens in tokenizer([clean.clean(text) for text in texts])]
    parts = [max(1, -(-len(item) // room)) for item in ids]
    pieces = [
        piece for item, n in zip(ids, parts, strict=True) for piece in np.array_split(item, n)
    ]
    embedder = load_embedder(spec, located.folder, precision=settings.precision)
    vectors = embedder.embed_documents(pieces)
    if len(pieces) == len(texts):
        return vectors
    starts = np.concatenate(([0], np.cumsum(parts)[:-1]))
    means = np.add.reduceat(vectors, starts, axis=0) / np.array(parts, np.float32)[:, None]
    if spec.normalize:
        means /= np.linalg.norm(means, axis=1, keepdims=True)
    return means.astype(np.float32)
