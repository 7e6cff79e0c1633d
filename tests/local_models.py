"""Load local models as what they are, for tests that look into them."""

from __future__ import annotations

from pathlib import Path

from localembed.embedding import load_embedder, load_query_embedder
from localembed.embedding.local_embedder import LocalEmbedder
from localembed.embedding.options import EngineOptions, LoadContext
from localembed.types.models import ModelSpec

_OPTIONS = EngineOptions()
_CONTEXT = LoadContext()


def load_local(
    spec: ModelSpec,
    folder: Path,
    options: EngineOptions = _OPTIONS,
    context: LoadContext = _CONTEXT,
) -> LocalEmbedder:
    """Load a local model; see `embedding.load_embedder`."""
    embedder = load_embedder(spec, folder, options, context=context)
    assert isinstance(embedder, LocalEmbedder)
    return embedder


def load_local_for_queries(
    spec: ModelSpec,
    folder: Path,
    options: EngineOptions = _OPTIONS,
    context: LoadContext = _CONTEXT,
) -> LocalEmbedder:
    """Load a local model for queries; see `embedding.load_query_embedder`."""
    embedder = load_query_embedder(spec, folder, options, context=context)
    assert isinstance(embedder, LocalEmbedder)
    return embedder
