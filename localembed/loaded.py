"""Models that stay loaded from one query to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from localembed import catalog
from localembed.choice import model_of
from localembed.config import Settings
from localembed.embedding import load_query_embedder, load_reranker
from localembed.profiles import engine_options
from localembed.store.head import TableHead
from localembed.store.layout import Layout

if TYPE_CHECKING:
    from localembed.types import Embedder, Reranker


class LoadedModels:
    """What embeds queries and reads answers, by the space of its vectors."""

    def __init__(self, layout: Layout, settings: Callable[[], Settings]) -> None:
        """Load nothing yet."""
        self._layout = layout
        self._settings = settings
        self._embedders: dict[str, Embedder] = {}
        self._rerankers: dict[str, Reranker] = {}

    def reranker(self, name: str) -> Reranker:
        """Return a model that reads a query and a text together."""
        model = catalog.open_reranker(name, self._layout)
        if model.space_id not in self._rerankers:
            self._rerankers[model.space_id] = load_reranker(model.spec, model.folder)
        return self._rerankers[model.space_id]

    def embedder(self, entry: TableHead) -> Embedder:
        """Return the model that a table was made with, and no other."""
        model = model_of(entry, self._layout)
        if model.space_id not in self._embedders:
            options = engine_options(self._settings(), model.space_id)
            loaded = load_query_embedder(model.spec, model.folder, options)
            self._embedders[model.space_id] = loaded
        return self._embedders[model.space_id]
