"""From token ids to vectors. A backend is one file and one row of `BACKENDS`.

Nothing here imports a model library until a model is loaded.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

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
    Profile,
    ProfileStore,
    limits_key,
    profile_key,
    query_key,
)
from localembed.types.models import Embedder, ModelInput, ModelSpec, RemoteSpec, Reranker, Tokenizer

__all__ = [
    "BACKENDS",
    "DEVICE_NAME",
    "ENGINES",
    "PRECISIONS",
    "RERANKERS",
    "EngineOptions",
    "ModelShape",
    "Profile",
    "ProfileStore",
    "choose_device",
    "choose_precision",
    "cores",
    "count_requests",
    "cpu_has_bf16",
    "device_name",
    "give_back_memory",
    "known_limits",
    "load_embedder",
    "load_query_embedder",
    "load_reranker",
    "load_tokenizer",
    "permission",
    "profile_key",
    "query_key",
    "read_shape",
    "weights_header",
]  # fmt: skip

BACKENDS: dict[str, str] = {
    "sentence-transformers": "localembed.embedding.local",
    "openai": "localembed.embedding.remote",
}
"""Backend → the module with its `load_tokenizer`, `load_embedder` and `load_query_embedder`."""

RERANKERS: dict[str, str] = {"cross-encoder": "localembed.embedding.cross_encoder"}
"""Backend → the module with its `load_reranker`."""


def load_tokenizer(spec: ModelSpec, folder: Path) -> Tokenizer:
    """Return a model's tokenizer, without loading the model.

    Raises:
        ModelChangedError: its file is missing or broken.
    """
    load: Callable[[ModelSpec, Path], Tokenizer] = _backend(spec).load_tokenizer
    return load(spec, folder)


def load_embedder(spec: ModelSpec, folder: Path, options: EngineOptions | None = None) -> Embedder:
    """Load a model.

    Args:
        spec: what the model is.
        folder: where its files lie.
        options: what was asked for; the rest is found out.

    Raises:
        UsageError: this machine cannot do what was asked for; said before the model is loaded.
        ModelChangedError: the files contradict the spec.
    """
    load: Callable[[ModelSpec, Path, EngineOptions], Embedder] = _backend(spec).load_embedder
    return load(spec, folder, options or EngineOptions())


def load_query_embedder(
    spec: ModelSpec, folder: Path, options: EngineOptions | None = None
) -> Embedder:
    """Load what embeds queries in the space of a model.

    One short text: a GPU would take longer to wake up, and a compiler to compile, than a processor
    takes to answer. Where NumPy was seen to give the model's vectors, it does, without torch.

    Args:
        spec: what the model is.
        folder: where its files lie.
        options: what was asked for; a device and what works only on one are not.

    Raises:
        UsageError: this machine cannot do what was asked for; said before the model is loaded.
        ModelChangedError: the files contradict the spec.
    """
    load: Callable[[ModelSpec, Path, EngineOptions], Embedder]
    load = _backend(spec).load_query_embedder
    return load(spec, folder, options or EngineOptions())


def permission(spec: ModelSpec, options: EngineOptions) -> Hashable:
    """Return permission to use a model for one command, None where the model is here.

    What was loaded under another permission must not be used.

    Raises:
        OfflineError: a server on another machine has the model, and nobody allowed the network.
        RemoteModelError: the server wants a key, and there is none.
    """
    if spec.remote is None:
        return None
    from localembed.embedding.remote import permission as remote_permission

    return remote_permission(spec, options)


def count_requests(spec: ModelSpec, inputs: Sequence[ModelInput]) -> int:
    """Return how many requests inputs take; none where the model is here."""
    if spec.remote is None:
        return 0
    from localembed.embedding.remote.requests import make_requests

    return len(make_requests(inputs, spec.remote))


def known_limits(remote: RemoteSpec, memory: ProfileStore | None) -> tuple[float, float]:
    """Return the requests and tokens a minute that a server allows, 0 where that is not known.

    What a models.toml says is believed first, then what the server said last.
    """
    key = limits_key(remote.base_url, remote.model)
    last = memory.recall(key) if memory is not None else Profile()
    return (
        remote.requests_per_minute or last.requests_per_minute or 0.0,
        remote.tokens_per_minute or last.tokens_per_minute or 0.0,
    )


def load_reranker(spec: ModelSpec, folder: Path) -> Reranker:
    """Load what reads a query and a text together.

    Raises:
        ModelChangedError: the files contradict the spec.
    """
    load: Callable[[ModelSpec, Path], Reranker]
    load = importlib.import_module(RERANKERS[spec.backend]).load_reranker
    return load(spec, folder)


def _backend(spec: ModelSpec) -> Any:  # noqa: ANN401 - a module
    return importlib.import_module(BACKENDS[spec.backend])
