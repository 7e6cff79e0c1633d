"""Models that stay loaded from one query to the next; safe for several threads."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from localembed import models
from localembed.embedding import RemoteOptions, backend_of, load_query_embedder, load_reranker
from localembed.errors import RemoteModelError
from localembed.models import LocatedModel
from localembed.store.layout import Layout
from localembed.types.models import EmbeddedQuery
from localembed.types.runs import Notice, ignore_notice
from localembed.types.tables import TableHead
from localembed.workspace.model_pool import ModelKey, ModelPool
from localembed.workspace.settings import Settings, engine_options, load_context, resolve
from localembed.workspace.tables import model_of

if TYPE_CHECKING:
    from localembed.types.models import Embedder, Reranker


class ForeignVariablesError(Exception):
    """A remote model reads variables whose values in the requesting process are not known."""

    def __init__(self, names: tuple[str, ...]) -> None:
        """Name the variables."""
        super().__init__(*names)
        self.names = names


class OtherEnvironmentError(Exception):
    """A remote model reads variables that differ here from those of the requesting process."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms on which one command uses models."""

    allow_network: bool = False
    """Whether to allow remote models even if the settings do not."""
    on_notice: Notice = ignore_notice
    """Callback that names the provider, on its first query."""
    variables: Mapping[str, str] | None = None
    """Variables of the process that sent the command; None if it is this process."""


@dataclass(slots=True)
class _Connection:
    """An embedder of a remote model, which the queries of one permission share."""

    embedder: Embedder
    permission: Hashable
    users: int = 0
    retired: bool = False

    def close_if_unused(self) -> None:
        if self.retired and not self.users:
            self.embedder.close()


class QueryModels:
    """Embedders and rerankers for the queries of a workspace, by the space of their vectors."""

    def __init__(self, layout: Layout, flags: Mapping[str, object], pool: ModelPool) -> None:
        """Load nothing yet.

        Args:
            layout: the workspace.
            flags: settings that win over every file and variable.
            pool: local models, shared with other workspaces.
        """
        self._layout = layout
        self._flags = flags
        self._pool = pool
        self._lock = Lock()
        self._held: dict[str, Any] = {}
        """Space → local model, which stays in the pool as long as it is here."""
        self._connections: dict[str, _Connection] = {}
        """Space → connection to its provider."""
        self._last: tuple[tuple[str, str], EmbeddedQuery] | None = None
        """Space and text that were embedded last, with the result."""

    def reranker(self, name: str) -> Reranker:
        """Return a model that reads a query and a text together."""
        model = models.open_reranker(name, self._layout)
        key = ModelKey(model.spec.name, model.space_id)
        found = self._pool.get(key, lambda: load_reranker(model.spec, model.folder))
        self._held[model.space_id] = found
        return found

    def embed(self, entry: TableHead, text: str, terms: Terms) -> EmbeddedQuery:
        """Return a query's vector, and what is known of it.

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
            ForeignVariablesError: the model is remote, and the command came from another process.
            OtherEnvironmentError: the same, and its variables differ from those of this process.
        """
        key = (entry.space_id, text)
        last = self._last
        if last is None or last[0] != key:
            model = model_of(entry, self._layout)
            with self._lend(model, terms) as embedder:
                last = (
                    key,
                    EmbeddedQuery(
                        embedder.embed_query(text),
                        embedder.count_pieces(text),
                        embedder.readable(text),
                    ),
                )
            self._last = last
        return last[1]

    def local(self, model: LocatedModel, terms: Terms) -> Embedder:
        """Return the embedder of a local model, loaded once.

        Args:
            model: a model whose files are on this machine.
            terms: terms of the command.
        """
        settings = resolve(self._flags, self._layout, terms.variables).settings
        return self._local(model, settings, terms)

    def close(self) -> None:
        """Close the connections to providers, each once its last request is answered."""
        with self._lock:
            for space in list(self._connections):
                self._retire(space)

    @contextmanager
    def _lend(self, model: LocatedModel, terms: Terms) -> Iterator[Embedder]:
        """Lend an embedder for one query."""
        settings = resolve(self._flags, self._layout, terms.variables).settings
        remote = RemoteOptions(
            allow_network=settings.allow_network or terms.allow_network,
            purpose="your queries",
            announce_once=True,
        )
        backend = backend_of(model.spec)
        if backend.provider is None:
            yield self._local(model, settings, terms)
            return
        _check_variables(backend.variables, terms)
        # The next command may not have the same permission, nor the same key.
        permission = backend.permission(remote)
        connection = self._connect(model, settings, remote, permission, terms)
        failed = False
        try:
            yield connection.embedder
        except RemoteModelError:
            # This embedder sends no more requests; a new one may reach the provider again.
            failed = True
            raise
        finally:
            with self._lock:
                connection.users -= 1
                if failed and self._connections.get(model.space_id) is connection:
                    self._retire(model.space_id)
                else:
                    connection.close_if_unused()

    def _local(self, model: LocatedModel, settings: Settings, terms: Terms) -> Embedder:
        options = engine_options(settings)

        def load() -> Embedder:
            context = replace(load_context(model.space_id), on_notice=terms.on_notice)
            return load_query_embedder(model.spec, model.folder, options, RemoteOptions(), context)

        embedder = self._pool.get(ModelKey(model.spec.name, model.space_id, options), load)
        self._held[model.space_id] = embedder
        return embedder

    def _connect(
        self,
        model: LocatedModel,
        settings: Settings,
        remote: RemoteOptions,
        permission: Hashable,
        terms: Terms,
    ) -> _Connection:
        """Return a connection under exactly this permission, with one more user."""
        space = model.space_id
        with self._lock:
            found = self._connections.get(space)
            if found is not None and found.permission != permission:
                self._retire(space)
                found = None
            if found is None:
                context = replace(load_context(space), on_notice=terms.on_notice)
                options = engine_options(settings)
                embedder = load_query_embedder(model.spec, model.folder, options, remote, context)
                found = self._connections[space] = _Connection(embedder, permission)
            found.users += 1
            return found

    def _retire(self, space: str) -> None:
        """Close a connection once its last query is answered; the lock is held."""
        connection = self._connections.pop(space)
        connection.retired = True
        connection.close_if_unused()


def _check_variables(names: tuple[str, ...], terms: Terms) -> None:
    """Check that a command of another process has this process's key and proxies.

    Raises:
        ForeignVariablesError: it did not say.
        OtherEnvironmentError: it has others.
    """
    if terms.variables is None:
        return
    if not terms.variables.keys() >= set(names):
        raise ForeignVariablesError(names)
    if any(terms.variables[name] != os.environ.get(name, "") for name in names):
        raise OtherEnvironmentError


@dataclass(frozen=True, slots=True)
class PermittedModels:
    """Embeds the queries of one command (see `search.searcher.QueryEmbedder`)."""

    models: QueryModels
    terms: Terms

    def embed(self, entry: TableHead, text: str, /) -> EmbeddedQuery:
        """Return a query's vector, and what is known of it."""
        return self.models.embed(entry, text, self.terms)


@dataclass(frozen=True, slots=True)
class WarmUpModels:
    """Loads the model of a table, and sends nothing to a provider."""

    models: QueryModels
    layout: Layout
    terms: Terms

    def embed(self, entry: TableHead, text: str, /) -> EmbeddedQuery:
        """Return the vector of a text; for a remote model, any vector of its dimensions."""
        spec = model_of(entry, self.layout).spec
        if backend_of(spec).provider is None:
            return self.models.embed(entry, text, self.terms)
        import numpy as np

        return EmbeddedQuery(np.full(spec.dim, spec.dim**-0.5, np.float32))
