"""From token ids to vectors. A backend is one file and one row of `BACKENDS`.

Nothing here imports a model library until a model is loaded.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from localembed.types import Embedder, ModelSpec, Tokenizer

__all__ = ["BACKENDS", "load_embedder", "load_tokenizer"]

BACKENDS: dict[str, str] = {"sentence-transformers": "localembed.embedding.sbert"}
"""Backend → the module with its `load_tokenizer(spec, folder)` and `load_embedder(...)`."""


def load_tokenizer(spec: ModelSpec, folder: Path) -> Tokenizer:
    """Return a model's tokenizer, without loading the model.

    Raises:
        ModelChangedError: its file is missing or broken.
    """
    load: Callable[[ModelSpec, Path], Tokenizer] = _backend(spec).load_tokenizer
    return load(spec, folder)


def load_embedder(spec: ModelSpec, folder: Path, *, precision: str = "auto") -> Embedder:
    """Load a model.

    Args:
        spec: what the model is.
        folder: where its files lie.
        precision: auto, fp32 or bf16.

    Raises:
        ModelChangedError: the files contradict the spec.
    """
    load: Callable[[ModelSpec, Path, str], Embedder] = _backend(spec).load_embedder
    return load(spec, folder, precision)


def _backend(spec: ModelSpec) -> Any:  # noqa: ANN401 - a module
    return importlib.import_module(BACKENDS[spec.backend])
