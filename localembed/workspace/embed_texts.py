"""Embed texts without a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from localembed import models
from localembed.chunking import clean
from localembed.embedding import RemoteOptions, load_embedder, load_tokenizer
from localembed.errors import ModelError
from localembed.types.models import ModelInput, Tokens
from localembed.workspace.settings import engine_options, load_context, resolve

if TYPE_CHECKING:
    from localembed.types.arrays import VectorMatrix


def embed_texts(texts: Sequence[str], model: str | None) -> VectorMatrix:
    """Return the vectors of texts, (len(texts), dim) float32 (see `localembed.embed`)."""
    settings = resolve({"model": model}, None).settings
    located = models.open_model(settings.model, dim=settings.dim)
    spec = located.spec
    if not texts:
        return np.zeros((0, spec.dim), np.float32)
    tokenizer = load_tokenizer(spec, located.folder)
    room = spec.max_tokens - tokenizer.special_tokens
    whole = [spec.document_prompt + clean.clean(text) for text in texts]
    pieces_of = [
        _pieces(text, tokens, room, len(spec.document_prompt))
        for text, tokens in zip(whole, tokenizer(whole), strict=True)
    ]
    pieces = [piece for part in pieces_of for piece in part]
    parts = [len(part) for part in pieces_of]
    tokens = sum(len(piece.token_ids) for piece in pieces)
    context = replace(load_context(located.space_id), job_tokens=tokens)
    remote = RemoteOptions(allow_network=settings.allow_network)
    embedder = load_embedder(spec, located.folder, engine_options(settings), remote, context)
    made = embedder.embed_documents(pieces, lambda _: None)
    if made.failures:
        row, reason = next(iter(made.failures.items()))
        message = f"A text could not be embedded: {reason}. It begins: {pieces[row].text[:60]!r}"
        raise ModelError(message)
    vectors = made.vectors
    if len(pieces) == len(texts):
        return vectors
    starts = np.concatenate(([0], np.cumsum(parts)[:-1]))
    means = np.add.reduceat(vectors, starts, axis=0) / np.array(parts, np.float32)[:, None]
    if spec.normalize:
        means /= np.linalg.norm(means, axis=1, keepdims=True)
    return means.astype(np.float32)


def _pieces(text: str, tokens: Tokens, room: int, prompt: int) -> list[ModelInput]:
    """Return a prompted text in equal pieces that fit the model, each with the prompt in front.

    Args:
        text: the prompt's included.
        tokens: of it.
        room: the most tokens that the model reads, without special ones.
        prompt: characters of the prompt.
    """
    if len(tokens.ids) <= room:
        return [ModelInput(text, tokens.ids)]
    first = int(np.searchsorted(tokens.ends, prompt, "right"))
    count = -(-(len(tokens.ids) - first) // (room - first))
    places = np.array_split(np.arange(first, len(tokens.ids)), count)
    return [
        ModelInput(
            text[:prompt] + text[tokens.starts[part[0]] : tokens.ends[part[-1]]],
            np.concatenate((tokens.ids[:first], tokens.ids[part])),
        )
        for part in places
    ]
