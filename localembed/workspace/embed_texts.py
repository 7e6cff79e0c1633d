"""Embed texts without a workspace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, get_args

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

_NO_LIST = 'embed takes a list of texts: localembed.embed(["some words", "more words"])'
_ONE_TEXT = "embed takes a list of texts, also for a single one: embed([text]), not embed(text)."

EmbedKind = Literal["document", "query"]


def embed_texts(texts: Iterable[str], model: str | None, kind: EmbedKind) -> VectorMatrix:
    """Return the vectors of texts, (n, dim) float32 (see `localembed.embed`)."""
    texts = _checked(texts)
    kinds = get_args(EmbedKind)
    if kind not in kinds:
        message = f"kind is {kind!r}, but must be one of {', '.join(kinds)}."
        raise UsageError(message)
    settings = resolve({"model": model}, None).settings
    located = models.open_model(settings.model, dim=settings.dim)
    spec = located.spec
    if not texts:
        return np.zeros((0, spec.dim), np.float32)
    tokenizer = load_tokenizer(spec, located.folder)
    limit = spec.max_tokens - tokenizer.special_tokens
    if kind == "query":
        prompt, prompted = spec.query_prompt, [spec.query_prompt + text for text in texts]
    else:
        prompt = spec.document_prompt
        prompted = [prompt + clean.clean(text) for text in texts]
    parts_of = [
        _parts(text, tokens, limit, len(prompt))
        for text, tokens in zip(prompted, tokenizer(prompted), strict=True)
    ]
    inputs = [part for parts in parts_of for part in parts]
    tokens = sum(len(part.token_ids) for part in inputs)
    context = replace(load_context(located.space_id), job_tokens=tokens)
    remote = RemoteOptions(allow_network=settings.allow_network)
    options = engine_options(settings)
    with closing(load_embedder(spec, located.folder, options, remote, context)) as embedder:
        made = embedder.embed_documents(inputs)
    if made.failures:
        row, reason = next(iter(made.failures.items()))
        message = f"A text could not be embedded: {reason}. It begins: {inputs[row].text[:60]!r}"
        raise ModelError(message)
    return _means(made.vectors, [len(parts) for parts in parts_of], normalize=spec.normalize)


def _checked(texts: object) -> list[str]:
    """Return the texts as a list.

    Raises:
        UsageError: they are one text, no texts, or not in an order.
    """
    if isinstance(texts, str | bytes | Mapping | Set) or not isinstance(texts, Iterable):
        message = _ONE_TEXT if isinstance(texts, str | bytes) else _NO_LIST
        raise UsageError(message)
    found = list(texts)
    for text in found:
        if not isinstance(text, str):
            message = f"A text to embed is {text!r}, but must be text. {_NO_LIST}"
            raise UsageError(message)
        if not is_unicode(text):
            message = "A text to embed is not valid Unicode: it has a lone surrogate."
            raise UsageError(message)
    return found


def _means(vectors: VectorMatrix, counts: Sequence[int], *, normalize: bool) -> VectorMatrix:
    """Return the mean vector of the parts of each text, (len(counts), dim) float32."""
    if len(vectors) == len(counts):
        return vectors
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    means = np.add.reduceat(vectors, starts, axis=0) / np.array(counts, np.float32)[:, None]
    if normalize:
        means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
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
