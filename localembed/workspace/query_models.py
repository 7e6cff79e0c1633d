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
    """On what terms one command uses remote models."""

    allow_network: bool = False
    """Whether they may be used although the settings do not say so."""
    on_notice: Notice = ignore_notice
    """Told to which provider the query goes, when it is the first."""


class QueryModels:
    """What embeds queries and reads answers, by the space of its vectors."""

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
        """Under which they were loaded."""
        self._rerankers: dict[str, Reranker] = {}
        self._last: tuple[tuple[str, str], Vector, int] | None = None
        """The words that were embedded last, in which space."""

    def reranker(self, name: str) -> Reranker:
        """Return a model that reads a query and a text together."""
        model = models.open_reranker(name, self._layout)
        if model.space_id not in self._rerankers:
            self._rerankers[model.space_id] = load_reranker(model.spec, model.folder)
        return self._rerankers[model.space_id]

    def embed(self, entry: TableHead, text: str, terms: Terms) -> tuple[Vector, int]:
        """Return a query's vector, (dim,) float32, and in how many pieces it was embedded.

        The same words in another mode, with another filter or for more hits are embedded once: a
        provider would be paid for each time.

        Args:
            entry: the table, whose model embeds, and no other.
            text: of any length.
            terms: of the command that asks.

        Raises:
            OfflineError: the model is remote, and the network is not allowed.
            RemoteModelError: the provider gave no vector.
            ModelChangedError: the model is not the one the table was made with.
        """
        key = (entry.space_id, text)
        last = self._last
        if last is None or last[0] != key:
            embedder = self._embedder(entry, terms)
            try:
                vector = embedder.embed_query(text)
            except RemoteModelError:
                # It makes no more requests; the provider may be back for the next query.
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
        # What one command was allowed, the next may not be, nor has it the same key.
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
        """Return a query's vector, and in how many pieces it was embedded."""
        return self.models.embed(entry, text, self.terms)


@dataclass(frozen=True, slots=True)
class WarmUpModels:
    """Loads the model of a table, and sends nothing to a provider."""

    models: QueryModels
    layout: Layout

    def embed(self, entry: TableHead, text: str, /) -> tuple[Vector, int]:
        """Return the vector of a text; of a remote model, any of its length."""
        spec = model_of(entry, self.layout).spec
        if backend_of(spec).provider is None:
            return self.models.embed(entry, text, Terms())
        import numpy as np

        return np.full(spec.dim, spec.dim**-0.5, np.float32), 1
