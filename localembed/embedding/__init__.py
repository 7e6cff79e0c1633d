"""Embedding: from token ids to vectors.

Nothing here imports a model library until a model is loaded.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from localembed.embedding.backends import BACKENDS, Backend, backend_of
from localembed.embedding.engines.hardware import (
    choose_device,
    choose_precision,
    cores,
    cpu_has_bf16,
    device_name,
    give_back_memory,
)
from localembed.embedding.model_shape import ModelShape, read_shape, weights_header
from localembed.embedding.options import (
    DEVICE_NAME,
    ENGINES,
    PRECISIONS,
    EngineOptions,
    LoadContext,
    Profile,
    RemoteOptions,
    profile_key,
    query_key,
)
from localembed.types.models import Embedder, ModelSpec, Reranker, Tokenizer

__all__ = [
    "BACKENDS", "DEVICE_NAME", "ENGINES", "PRECISIONS", "RERANKERS",
    "Backend", "EngineOptions", "LoadContext", "ModelShape", "Profile", "RemoteOptions",
    "backend_of", "choose_device", "choose_precision", "cores", "cpu_has_bf16", "device_name",
    "give_back_memory", "load_embedder", "load_query_embedder", "load_reranker", "load_tokenizer",
    "profile_key", "query_key", "read_shape", "weights_header",
]  # fmt: skip

RERANKERS: dict[str, str] = {"cross-encoder": "localembed.embedding.cross_encoder"}
"""Backend → module with its `load_reranker`."""

_DEFAULT = EngineOptions()
_NO_REMOTE = RemoteOptions()
_NO_CONTEXT = LoadContext()


def load_tokenizer(spec: ModelSpec, folder: Path) -> Tokenizer:
    """Return a model's tokenizer, without loading the model (see `Backend.load_tokenizer`)."""
    return backend_of(spec).load_tokenizer(folder)


def load_embedder(
    spec: ModelSpec,
    folder: Path,
    options: EngineOptions = _DEFAULT,
    remote: RemoteOptions = _NO_REMOTE,
    context: LoadContext = _NO_CONTEXT,
) -> Embedder:
    """Load a model (see `Backend.load`)."""
    return backend_of(spec).load(folder, options, remote, context)


def load_query_embedder(
    spec: ModelSpec,
    folder: Path,
    options: EngineOptions = _DEFAULT,
    remote: RemoteOptions = _NO_REMOTE,
    context: LoadContext = _NO_CONTEXT,
) -> Embedder:
    """Load an embedder for queries in the space of a model (see `Backend.load_for_queries`)."""
    return backend_of(spec).load_for_queries(folder, options, remote, context)


def load_reranker(spec: ModelSpec, folder: Path) -> Reranker:
    """Load a reranker, which reads a query and a text together.

    Raises:
        ModelChangedError: the files contradict the spec.
    """
    load: Callable[[ModelSpec, Path], Reranker]
    load = importlib.import_module(RERANKERS[spec.backend]).load_reranker
    return load(spec, folder)
