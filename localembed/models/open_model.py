"""Find a model that is ready to be loaded: files present, without code, and matching hashes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from localembed.core.hashing import sha256_file
from localembed.embedding import RERANKERS, backend_of
from localembed.embedding.local_backend import LocalBackend
from localembed.embedding.model_shape import module_file
from localembed.errors import LocalembedError, ModelChangedError, ModelNotFoundError, UsageError
from localembed.models.files import how_to_get, locate, read_pins, store_folder, tokenizer_folder
from localembed.models.hashes import checked_hashes
from localembed.models.registry import find_spec
from localembed.models.safety import check_only_data, deciding_files
from localembed.store.layout import Layout
from localembed.types.models import ModelSpec

_LOADED = ("sentence-transformers", *RERANKERS)
"""Backends that load weights and a tokenizer from a folder."""


@dataclass(frozen=True, slots=True)
class LocatedModel:
    """A local model whose files match its spec, or a remote model."""

    spec: ModelSpec
    folder: Path
    """Folder of its files; a remote model has at most its tokenizer there."""
    space_id: str


def open_model(
    name: str, layout: Layout | None = None, *, dim: int | None = None, rehash: bool = False
) -> LocatedModel:
    """Find an embedding model, and check its files against their pinned hashes.

    Args:
        name: the model's name in a models.toml.
        layout: the workspace, whose models.toml takes precedence.
        dim: dimensions of the vectors, if not the model's native ones.
        rehash: read every file, ignoring cached hashes.

    Raises:
        ModelNotFoundError: the name is unknown, or the files are not on this machine.
        ModelChangedError: a file is missing or differs from its hash.
        ModelRefusedError: the folder could make a library run code.
        UsageError: the model is a reranker, or does not support these dimensions.
    """
    spec = find_spec(name, layout)
    if spec.backend in RERANKERS:
        message = f"Model '{name}' is a reranker. Use it with: localembed query --rerank {name}"
        raise UsageError(message)
    return located(_truncated(spec, dim), rehash=rehash)


def open_stored(
    name: str, dim: int, layout: Layout | None = None, *, rehash: bool = False
) -> LocatedModel:
    """Find the model of stored vectors, truncated as they were (see `open_model`).

    Args:
        name: the model's name in a models.toml.
        dim: dimensions of the stored vectors.
        layout: the workspace, whose models.toml takes precedence.
        rehash: read every file, ignoring cached hashes.
    """
    smaller = dim in find_spec(name, layout).smaller_dims
    return open_model(name, layout, dim=dim if smaller else None, rehash=rehash)


def open_reranker(name: str, layout: Layout | None = None) -> LocatedModel:
    """Find a reranker, and check its files against their pinned hashes.

    Raises:
        ModelNotFoundError: the name is unknown, or the files are not on this machine.
        ModelChangedError: a file is missing or differs from its hash.
        ModelRefusedError: the folder could make a library run code.
        UsageError: the model is not a reranker.
    """
    spec = find_spec(name, layout)
    if spec.backend not in RERANKERS:
        message = (
            f"Model '{name}' is not a reranker: its backend in models.toml is '{spec.backend}', "
            f"but a reranker's is one of: {', '.join(RERANKERS)}."
        )
        raise UsageError(message)
    return located(spec)


def located(spec: ModelSpec, *, rehash: bool = False) -> LocatedModel:
    """Check the files of a model (see `open_model`)."""
    if spec.remote is not None:
        place = tokenizer_folder(spec.name, spec.remote)
        return LocatedModel(spec, place, backend_of(spec).space_id({}))
    folder = locate(spec)
    if folder is None:
        raise ModelNotFoundError(how_to_get(spec))
    try:
        check_only_data(spec.name, folder)
        deciding = deciding_files(folder)
    except OSError as error:
        message = f"The folder of model '{spec.name}' cannot be read: {error}"
        raise ModelNotFoundError(message) from error
    _check_complete(spec, folder, deciding)
    noted = read_pins(spec.name) if folder == store_folder(spec.name) else {}
    pinned = {**noted, **spec.sha256}
    hashes = checked_hashes(spec.name, folder, deciding, pinned, rehash=rehash)
    backend = LocalBackend(spec) if spec.backend in RERANKERS else backend_of(spec)
    space_id = backend.space_id({name: hashes[name] for name in deciding})
    return LocatedModel(spec, folder, space_id)


def _check_complete(spec: ModelSpec, folder: Path, deciding: Sequence[str]) -> None:
    """Check that a model without pinned hashes has its parts; otherwise it would be another one.

    Raises:
        ModelChangedError: its weights or its tokenizer are missing.
    """
    if spec.backend not in _LOADED:
        return
    for part, suffix in (("weights", ".safetensors"), ("tokenizer", "tokenizer.json")):
        if not any(name.endswith(suffix) for name in deciding):
            message = f"Model '{spec.name}' lacks its {part} in {folder}. Reinstall the model."
            raise ModelChangedError(message)


def open_tokenizer(name: str, dim: int, space_id: str, layout: Layout) -> LocatedModel | None:
    """Find a model whose tokenizer is on this machine, though its other files are missing.

    Return None if its tokenizer is missing as well, or is not the pinned one.

    Args:
        name: the model's name in a models.toml.
        dim: dimensions of the stored vectors.
        space_id: identity of the stored vectors.
        layout: the workspace, whose models.toml takes precedence.
    """
    try:
        spec = find_spec(name, layout)
        folder = locate(spec)
        if folder is None or spec.remote is not None:
            return None
        check_only_data(name, folder)
        path = module_file(folder, "tokenizer.json")
        pinned = {**read_pins(name), **spec.sha256}.get(path.relative_to(folder).as_posix())
        if pinned not in (None, sha256_file(path)):
            return None
        smaller = dim if dim in spec.smaller_dims else None
        return LocatedModel(_truncated(spec, smaller), folder, space_id)
    except (OSError, LocalembedError):
        return None


def _truncated(spec: ModelSpec, dim: int | None) -> ModelSpec:
    """Return the spec of a model whose vectors are truncated to their first dimensions.

    Raises:
        UsageError: the model was not trained for that.
    """
    if dim is None or dim == spec.dim:
        return spec
    if dim not in spec.smaller_dims:
        sizes = ", ".join(map(str, (spec.dim, *spec.smaller_dims)))
        message = f"Model '{spec.name}' does not support {dim} dimensions; supported: {sizes}."
        raise UsageError(message)
    return replace(spec, dim=dim, whole_dim=spec.dim)
