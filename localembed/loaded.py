"""Models that stay loaded from one query to the next."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from localembed import catalog
from localembed.choice import model_of
from localembed.config import Settings
from localembed.embedding import access, load_query_embedder, load_reranker
from localembed.profiles import engine_options
from localembed.store.head import TableHead
from localembed.store.layout import Layout
from localembed.types import ignore_notice

if TYPE_CHECKING:
    from localembed.types import Embedder, Notice, QueryEmbedder, Reranker, Vector


class LoadedModels:
    """What embeds queries and reads answers, by the space of its vectors."""

    def __init__(self, layout: Layout, settings: Callable[[], Settings]) -> None:
        """Load nothing yet."""
        self._layout = layout
        self._settings = settings
        self._embedders: dict[str, Embedder] = {}
        self._leaves: dict[str, Hashable] = {}
        """Under which they were loaded."""
        self._rerankers: dict[str, Reranker] = {}

    def reranker(self, name: str) -> Reranker:
        """Return a model that reads a query and a text together."""
        model = catalog.open_reranker(name, self._layout)
        if model.space_id not in self._rerankers:
            self._rerankers[model.space_id] = load_reranker(model.spec, model.folder)
        return self._rerankers[model.space_id]

    def embedder(
        self,
        entry: TableHead,
        *,
        allow_network: bool = False,
        on_notice: Notice = ignore_notice,
    ) -> Embedder:
        """Return the model that a table was made with, and no other.

        Args:
            entry: the table.
            allow_network: whether a server may be asked although the settings do not say so.
            on_notice: told to which server the query goes, when it is the first.

        Raises:
            OfflineError: a server on another machine has the model, and nobody allowed the network.
        """
        model = model_of(entry, self._layout)
        settings = self._settings()
        options = replace(
            engine_options(settings, model.space_id),
            allow_network=settings.allow_network or allow_network,
            on_notice=on_notice,
            purpose="your queries",
            said_once=True,
        )
        # What one command was allowed, the next may not be, nor has it the same key.
        leave = access(model.spec, options)
        if model.space_id in self._embedders and self._leaves[model.space_id] != leave:
            self._embedders.pop(model.space_id).close()
        if model.space_id not in self._embedders:
            loaded = load_query_embedder(model.spec, model.folder, options)
            self._embedders[model.space_id] = loaded
            self._leaves[model.space_id] = leave
        return self._embedders[model.space_id]

    def warm(self, entry: TableHead) -> QueryEmbedder:
        """Return the model of a table; for a server's, something that sends nothing."""
        model = model_of(entry, self._layout)
        return self.embedder(entry) if model.spec.remote is None else _StandIn(model.spec.dim)


@dataclass(frozen=True, slots=True)
class _StandIn:
    """Any direction: enough to find out how the nearest vectors are found."""

    dim: int

    def embed_query(self, _text: str, /, on_pieces: Callable[[int], None]) -> Vector:
        import numpy as np

        on_pieces(1)
        return np.full(self.dim, self.dim**-0.5, np.float32)
