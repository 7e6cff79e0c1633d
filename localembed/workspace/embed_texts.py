"""Embed texts without a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from localembed import models
from localembed.chunking import clean
from localembed.core.text import is_unicode
from localembed.embedding import RemoteOptions, load_embedder, load_tokenizer
from localembed.errors import ModelError, UsageError
from localembed.types.models import ModelInput, Tokens
from localembed.workspace.settings import engine_options, load_context, resolve

if TYPE_CHECKING:
    from localembed.types.arrays import VectorMatrix


def embed_texts(texts: Sequence[str], model: str | None) -> VectorMatrix:
    """Return the vectors of texts, (len(texts), dim) float32 (see `localembed.embed`)."""
    if isinstance(texts, str | bytes) or not all(isinstance(text, str) for text in texts):
        message = 'embed takes a list of texts, even of one: localembed.embed(["some words"])'
        raise UsageError(message)
    if not all(map(is_unicode, texts)):
        message = "A text to embed is not valid Unicode: it has a lone surrogate."
        raise UsageError(message)
    settings = resolve({"model": model}, None).settings
    located = models.open_model(settings.model, dim=settings.dim)
    spec = located.spec
    if not texts:
        return np.zeros((0, spec.dim), np.float32)
    tokenizer = load_tokenizer(spec, located.folder)
    limit = spec.max_tokens - tokenizer.special_tokens
    prompted = [spec.document_prompt + clean.clean(text) for text in texts]
    parts_of = [
        _parts(text, tokens, limit, len(spec.document_prompt))
        for text, tokens in zip(prompted, tokenizer(prompted), strict=True)
    ]
    inputs = [part for parts in parts_of for part in parts]
    counts = [len(parts) for parts in parts_of]
    tokens = sum(len(part.token_ids) for part in inputs)
    context = replace(load_context(located.space_id), job_tokens=tokens)
    remote = RemoteOptions(allow_network=settings.allow_network)
    embedder = load_embedder(spec, located.folder, engine_options(settings), remote, context)
    made = embedder.embed_documents(inputs)
    if made.failures:
        row, reason = next(iter(made.failures.items()))
        message = f"A text could not be embedded: {reason}. It begins: {inputs[row].text[:60]!r}"
        raise ModelError(message)
    vectors = made.vectors
    if len(inputs) == len(texts):
        return vectors
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    means = np.add.reduceat(vectors, starts, axis=0) / np.array(counts, np.float32)[:, None]
    if spec.normalize:
        means /= np.linalg.norm(means, axis=1, keepdims=True)
    return means.astype(np.float32)


def _parts(text: str, tokens: Tokens, limit: int, prompt: int) -> list[ModelInput]:
    """Return a prompted text in equal parts that fit the model, each after the prompt.

    Args:
        text: the text, prompt included.
        tokens: tokens of that text.
        limit: maximum tokens that the model reads, without special tokens.
        prompt: length of the prompt in characters.
    """
    if len(tokens.ids) <= limit:
        return [ModelInput(text, tokens.ids)]
    first = int(np.searchsorted(tokens.ends, prompt, "right"))
    count = -(-(len(tokens.ids) - first) // (limit - first))
    places = np.array_split(np.arange(first, len(tokens.ids)), count)
    return [
        ModelInput(
            text[:prompt] + text[tokens.starts[part[0]] : tokens.ends[part[-1]]],
            np.concatenate((tokens.ids[:first], tokens.ids[part])),
        )
        for part in places
    ]
