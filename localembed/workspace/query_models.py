"""Models that stay loaded from one query to the next."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from localembed import models
from localembed.embedding import RemoteOptions, backend_of, load_query_embedder, load_reranker
from localembed.errors import RemoteModelError
from localembed.store.layout import Layout
from localembed.types.runs import Notice, ignore_notice
from localembed.types.tables import TableHead
from localembed.workspace.settings import engine_options, load_context, resolve
from localembed.workspace.tables import model_of

if TYPE_CHECKING:
    from localembed.types.arrays import Vector
    from localembed.types.models import Embedder, Reranker


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms on which one command uses remote models."""

    allow_network: bool = False
    """Whether to allow remote models even if the settings do not."""
    on_notice: Notice = ignore_notice
    """Callback that names the provider, on its first query."""


class QueryModels:
    """Embedders and rerankers for queries, by the space of their vectors."""

    def __init__(self, layout: Layout, flags: Mapping[str, object]) -> None:
        """Load nothing yet.

        Args:
            layout: the workspace.
            flags: settings that win over every file and variable.
        """
        self._layout = layout
        self._flags = flags
        self._embedders: dict[str, Embedder] = {}
        self._permissions: dict[str, Hashable] = {}
        """Permissions under which the embedders were loaded."""
        self._rerankers: dict[str, Reranker] = {}
        self._last: tuple[tuple[str, str], Vector, int] | None = None
        """Space and text that were embedded last, with the vector and the number of parts."""

    def reranker(self, name: str) -> Reranker:
        """Return a model that reads a query and a text together."""
        model = models.open_reranker(name, self._layout)
        if model.space_id not in self._rerankers:
            self._rerankers[model.space_id] = load_reranker(model.spec, model.folder)
        return self._rerankers[model.space_id]

    def embed(self, entry: TableHead, text: str, terms: Terms) -> tuple[Vector, int]:
        """Return a query's vector, (dim,) float32, and the number of parts it was embedded in.

        The same text in another mode, with another filter or for more hits is embedded once, since
        a provider charges for each request.

        Args:
            entry: the table, whose own model embeds.
            text: a text of any length.
            terms: terms of the command.

        Raises:
            OfflineError: the model is remote, and the network is not allowed.
            RemoteModelError: the provider could not embed the query.
            ModelChangedError: the model is not the one the table was built with.
        """
        key = (entry.space_id, text)
        last = self._last
        if last is None or last[0] != key:
            embedder = self._embedder(entry, terms)
            try:
                vector = embedder.embed_query(text)
            except RemoteModelError:
                # This embedder sends no more requests; a new one may reach the provider again.
                self._embedders.pop(entry.space_id, embedder).close()
                raise
            last = self._last = (key, vector, embedder.count_pieces(text))
        return last[1], last[2]

    def _embedder(self, entry: TableHead, terms: Terms) -> Embedder:
        model = model_of(entry, self._layout)
        settings = resolve(self._flags, self._layout).settings
        remote = RemoteOptions(
            allow_network=settings.allow_network or terms.allow_network,
            purpose="your queries",
            announce_once=True,
        )
        # The next command may not have the same permission, nor the same key.
        permission = backend_of(model.spec).permission(remote)
        space = model.space_id
        if space in self._embedders and self._permissions[space] != permission:
            self._embedders.pop(space).close()
        if space not in self._embedders:
            context = replace(load_context(space), on_notice=terms.on_notice)
            self._embedders[space] = load_query_embedder(
                model.spec, model.folder, engine_options(settings), remote, context
            )
            self._permissions[space] = permission
        return self._embedders[space]


@dataclass(frozen=True, slots=True)
class PermittedModels:
    """Embeds the queries of one command (see `search.searcher.QueryEmbedder`)."""

    models: QueryModels
    terms: Terms

    def embed(self, entry: TableHead, text: str, /) -> tuple[Vector, int]:
        """Return a query's vector, and the number of parts it was embedded in."""
        return self.models.embed(entry, text, self.terms)


@dataclass(frozen=True, slots=True)
class WarmUpModels:
    """Loads the model of a table, and sends nothing to a provider."""

    models: QueryModels
    layout: Layout

    def embed(self, entry: TableHead, text: str, /) -> tuple[Vector, int]:
        """Return the vector of a text; for a remote model, any vector of its dimensions."""
        spec = model_of(entry, self.layout).spec
        if backend_of(spec).provider is None:
            return self.models.embed(entry, text, Terms())
        import numpy as np

        return np.full(spec.dim, spec.dim**-0.5, np.float32), 1
