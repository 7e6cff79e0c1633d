"""The available models: the registry, and their files on this machine."""

from localembed.models.listing import list_models
from localembed.models.open_model import (
    LocatedModel,
    open_model,
    open_reranker,
    open_stored,
    open_tokenizer,
)
from localembed.models.registry import find_spec, load_specs, registry_path

__all__ = [
    "LocatedModel", "find_spec", "list_models", "load_specs", "open_model", "open_reranker",
    "open_stored", "open_tokenizer", "registry_path",
]  # fmt: skip
