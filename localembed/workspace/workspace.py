"""The composition root and public Python API: a workspace and its operations."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from localembed import models
from localembed.core.text import counted
from localembed.errors import NotIndexedError, UsageError
from localembed.pipeline.run import run
from localembed.search import Reranking, Searcher
from localembed.store.disk import hide_from_git, make_folder
from localembed.store.head import Head, read_head
from localembed.store.layout import Layout
from localembed.store.lock import writer_lock
from localembed.store.modes import tighten_workspace
from localembed.types.documents import Root
from localembed.types.events import EventListener, ignore_event
from localembed.types.limits import DEFAULT_LIMITS, Limits
from localembed.types.models import EmbeddingService
from localembed.types.queries import EVERYTHING, Filter, Query, QueryResult, SearchHit, SearchMode
from localembed.types.runs import Notice, Preview, RunReport, ignore_notice
from localembed.types.tables import MovedRoot, RootListing, Status
from localembed.workspace import config_file
from localembed.workspace.gate import Gate, check_new, discover
from localembed.workspace.history import History
from localembed.workspace.indexing import (
    RunOptions,
    make_job,
    preview,
    remove_everywhere,
    use_model,
)
from localembed.workspace.lost_roots import lost_notice, lost_roots
from localembed.workspace.model_pool import ModelPool
from localembed.workspace.query_models import PermittedModels, QueryModels, Terms, WarmUpModels
from localembed.workspace.reach import EVERY_OPTION, permissions_for
from localembed.workspace.replaced_roots import check_replaced
from localembed.workspace.root_moves import move_root
from localembed.workspace.roots import Roots
from localembed.workspace.settings import Sourced, resolve
from localembed.workspace.status import (
    elsewhere_notice,
    is_in,
    list_roots,
    query_result,
    read_status,
)
from localembed.workspace.tables import select_table
from localembed.workspace.value_checks import (
    check_cost,
    check_folder,
    check_paths,
    check_place,
    check_query,
    check_root_options,
)

_NOTHING: Mapping[str, object] = {}


class Workspace:
    """A folder that holds an index, with all of its operations."""

    def __init__(
        self,
        folder: Path,
        flags: Mapping[str, object] = _NOTHING,
        limits: Limits = DEFAULT_LIMITS,
        pool: ModelPool | None = None,
    ) -> None:
        """Set up a workspace; nothing is read yet.

        Args:
            folder: the workspace folder itself.
            flags: settings that override every file and variable.
            limits: sizes and thresholds that no user needs to set.
            pool: local models, if this process has several workspaces.

        Raises:
            UsageError: no workspace can be there.
        """
        check_folder(folder)
        self._layout = Layout(folder)
        self._gate = Gate(self._layout)
        self.limits = limits
        self._flags = dict(flags)
        self._roots = Roots(self._layout)
        self._variables: Mapping[str, str] | None = None
        self._current: str | None = None
        self._models = QueryModels(self._layout, self._flags, pool or ModelPool())
        self._searcher = Searcher(self._layout, limits)

    @classmethod
    def discover(
        cls,
        flags: Mapping[str, object] = _NOTHING,
        limits: Limits = DEFAULT_LIMITS,
        *,
        start: str | None = None,
        named: str | None = None,
        pool: ModelPool | None = None,
    ) -> Self:
        """Find the workspace as git finds a repository, else use the user-wide one.

        Args:
            flags: settings that override every file and variable.
            limits: sizes and thresholds that no user needs to set.
            start: absolute path of the folder in which the search begins; None for the current
                one.
            named: absolute path of the workspace itself, which takes precedence; None for
                `LOCALEMBED_WORKSPACE`, empty if none is named.
            pool: local models, if this process has several workspaces.

        Raises:
            NotTrustedError: another user could have made what was found, or could replace it.
        """
        return cls(discover(start, named), flags, limits, pool)

    @property
    def folder(self) -> Path:
        """Folder of the workspace."""
        return self._layout.folder

    @property
    def layout(self) -> Layout:
        """Paths inside the workspace, which everything that reads it goes through.

        Raises:
            NotTrustedError: something in it is a link, or it reaches outside of its own folder
                what the user has not allowed.
        """
        self._gate.check()
        return self._layout

    def name_roots(
        self, paths: Sequence[str | os.PathLike[str]], options: Mapping[str, Any] = _NOTHING
    ) -> None:
        """Allow roots that the user named; `index` remembers those that it is given.

        Args:
            paths: as for `index`.
            options: as for `index`.
        """
        self._gate.name_roots(paths, options)

    @property
    def settings(self) -> Sourced:
        """Settings in force, with the origin of each."""
        return resolve(self._flags, self.layout, self._variables)

    @property
    def roots(self) -> tuple[Root, ...]:
        """Roots that the workspace indexes."""
        return config_file.read_roots(self.layout)

    def create(self) -> bool:
        """Create the workspace folder, mode 0700, unless it exists; tell whether it was created.

        Raises:
            StorageError: the folder cannot be created.
            NotTrustedError: it is a link or contains one, or belongs to another user.
        """
        if self._layout.exists():
            return False
        check_new(self._layout)
        make_folder(self.folder)
        hide_from_git(self._layout)
        tighten_workspace(self._layout)
        config_file.write_roots(self._layout, ())
        return True

    def index(  # noqa: PLR0913 - keywords with defaults
        self,
        paths: Sequence[str | os.PathLike[str]] = (),
        *,
        options: Mapping[str, Any] = _NOTHING,
        verify: bool = False,
        allow_mass_delete: bool = False,
        retry_failed: bool = False,
        max_cost: float | None = None,
        wait: bool = False,
        embedding_service: EmbeddingService | None = None,
        on_event: EventListener = ignore_event,
        on_notice: Notice = ignore_notice,
    ) -> RunReport:
        """Update the index with folders and files.

        Args:
            paths: folders or files to add or update; none means every root.
            options: include, exclude, hidden or no_ignore for the roots in `paths`.
            verify: read and hash every file, even if its stat is unchanged.
            allow_mass_delete: remove files even if a whole folder seems to be missing.
            retry_failed: embed failed chunks again.
            max_cost: maximum US dollars for a remote model; the run stops before it costs more.
            wait: if another process is writing, wait until it is done.
            embedding_service: process that may hold the model already, and embeds few chunks; the
                command line passes the server.
            on_event: called for each step (see `types.events.Step`).
            on_notice: called with a sentence for each request that could not be met in full.

        Raises:
            UsageError: a path does not exist, or there is nothing to index.
            LockedError: another process is writing, and `wait` is not set.
            WorkspaceError: a path would replace a root whose files are missing.
            CostLimitError: it would have cost more than `max_cost`; finished answers are kept.
        """
        check_paths(paths)
        check_root_options(options)
        check_cost(max_cost)
        self.name_roots(paths, options)
        layout = self.layout
        run_options = RunOptions(
            verify, allow_mass_delete, retry_failed, max_cost, embedding_service
        )
        targets = self._roots.targets(paths)
        if not layout.exists():
            # Settings that cannot work must not leave an empty workspace behind.
            select_table(self.settings, Head(), layout)
        self.create()
        with writer_lock(layout, on_notice if wait else None):
            sourced = self.settings
            selection = select_table(sourced, read_head(layout), layout)
            for notice in selection.notices:
                on_notice(notice)
            if not allow_mass_delete:
                check_replaced(layout, selection.facts.name, *self._roots.replaced(targets))
            self._gate.remember(selection.model.spec if selection.model else None)
            scopes = self._roots.scopes(targets, options, self._gate.admitted)
            job = make_job(
                layout,
                selection,
                sourced.settings,
                scopes,
                run_options,
                self.limits,
                on_notice,
            )
            report = run(job, on_event)
            self._roots.drop_forgotten(read_head(layout))
            for root_id, documents in lost_roots(layout).items():
                on_notice(lost_notice(root_id, documents))
            return report

    def preview(
        self,
        paths: Sequence[str | os.PathLike[str]] = (),
        *,
        options: Mapping[str, Any] = _NOTHING,
        on_event: EventListener = ignore_event,
    ) -> Preview:
        """Return what `index` would embed, and what that would cost; nothing is written or sent.

        Args:
            paths: as for `index`.
            options: as for `index`.
            on_event: called for each step.

        Raises:
            UsageError: a path does not exist, or there is nothing to index.
        """
        check_paths(paths)
        check_root_options(options)
        self.name_roots(paths, options)
        layout = self.layout
        targets = self._roots.targets(paths)
        scopes = self._roots.scopes(targets, options, self._gate.admitted, remember=False)
        sourced = self.settings
        selection = select_table(sourced, read_head(layout), layout)
        return preview(layout, selection, sourced.settings, scopes, self.limits, on_event)

    def query(
        self,
        text: str,
        *,
        mode: SearchMode | None = None,
        top_k: int | None = None,
        model: str | None = None,
        filter: Filter = EVERYTHING,
    ) -> list[SearchHit]:
        """Return the chunks that answer a query, best first.

        Args:
            text: the query.
            mode: hybrid, vector or text; the setting's if not given.
            top_k: maximum number of hits; the setting's if not given.
            model: search this model's table instead of the default one.
            filter: what to search; it is applied before the search, so that `top_k` hits remain.

        Raises:
            UsageError: the query is empty or no valid Unicode, or the filter is invalid.
            NotIndexedError: there is nothing to search.
            ModelChangedError: the model is not the one the table was built with.
        """
        settings = self.settings.settings
        mode = settings.mode if mode is None else mode
        top_k = settings.top_k if top_k is None else top_k
        query = Query(text, mode, top_k, model, filter)
        return list(self.search(query).hits)

    def search(self, query: Query, on_notice: Notice = ignore_notice) -> QueryResult:
        """Return the hits of a query, with the model and version that were searched.

        Args:
            query: the query with its options.
            on_notice: called with the provider's name on its first query.

        Raises:
            UsageError: the query is empty or no valid Unicode, the filter is invalid, or the
                reranker is not one.
            NotIndexedError: there is nothing to search.
            ModelChangedError: the model is not the one the table was built with.
        """
        begin = time.perf_counter()
        roots = self.roots
        self._ensure_listed(roots)
        check_query(query)
        reranking = None
        if query.rerank is not None:
            # A reranker that cannot be used is rejected before the search.
            reranker = self._models.reranker(query.rerank)
            reranking = Reranking(reranker, query.text, query.top_k)
        terms = Terms(query.allow_network, on_notice, self._variables)
        embedder = PermittedModels(self._models, terms)
        answer = self._searcher.search(query, _paths(roots), embedder, reranking)
        for root in roots:
            if root.elsewhere and any(is_in(hit, root) for hit in answer.hits):
                on_notice(elsewhere_notice(root))
        return query_result(query, answer, begin)

    def warm(self) -> None:
        """Load what the next query needs; nothing is sent to a provider.

        Raises:
            NotIndexedError: there is nothing to search.
            ModelChangedError: the model is not the one the table was built with.
        """
        models = WarmUpModels(self._models, self.layout, Terms(variables=self._variables))
        for _ in range(2):  # the second keeps the vectors in memory
            self._searcher.search(Query("warm"), self._root_paths, models)

    def like(self, query: Query) -> QueryResult:
        """Return the chunks most similar to an indexed passage, without the passage itself.

        Args:
            query: a query by vectors, whose text is a path, path:line or chunk id.

        Raises:
            UsageError: the place is not indexed, or has no vector.
            NotIndexedError: there is nothing to search.
        """
        begin = time.perf_counter()
        query = replace(query, mode="vector")
        check_query(query)
        self._gate.check()
        check_paths((query.text,), "place")
        where = self._roots.condition(query.text, self._current)
        answer = self._searcher.like(where, query, self._root_paths)
        if answer is None:
            message = f"{query.text} is not indexed, or has no vector. Run: localembed index"
            raise UsageError(message)
        return query_result(query, answer, begin)

    def show(
        self, place: str, *, model: str | None = None, at: str | None = None
    ) -> list[SearchHit]:
        """Return the whole chunks of a file, line or id, in order; their scores have no meaning.

        Args:
            place: a path, path:line or chunk id.
            model: read this model's table instead of the default one.
            at: version to read instead of the newest: a run's number or a tag.

        Raises:
            UsageError: the path is in no root.
            NotIndexedError: nothing is indexed.
        """
        check_place(place, model, at)
        query = Query(place, model=model, at=at)
        self._gate.check()
        where = self._roots.condition(place, self._current)
        return list(self._searcher.show(where, query, self._root_paths).hits)

    def _ensure_listed(self, roots: Sequence[Root]) -> None:
        """Raise an error if files are stored, and config.toml lists none of their roots."""
        stored = 0 if roots else sum(lost_roots(self.layout).values())
        if stored:
            message = (
                f"{self.layout.config} lists none of the roots of the {counted(stored, 'file')} "
                "that are stored. To continue with them: localembed index FOLDER"
            )
            raise NotIndexedError(message)

    @property
    def _root_paths(self) -> dict[str, bytes]:
        return _paths(self.roots)

    def remove(
        self, path: str | os.PathLike[str], *, on_event: EventListener = ignore_event
    ) -> RunReport | None:
        """Remove a root, or exclude a path below one, and delete its rows from every table.

        Return the report of the default table, None if nothing was indexed yet.

        Raises:
            NotIndexedError: there is no workspace.
            UsageError: no root holds the path.
        """
        check_paths((path,), "path")
        self.ensure_exists()
        # A root that is not allowed can still be removed.
        self._gate.check(permissions_for([path], EVERY_OPTION))
        with writer_lock(self._layout):
            scope = self._roots.forget(path)
            if not scope.path:
                self._gate.withdraw(scope.root)
            keep = resolve(self._flags, self._layout).settings.keep_versions
            return remove_everywhere(self._layout, scope, keep, on_event)

    def list_roots(self) -> RootListing:
        """Return the roots, each with what is stored of it, and stored roots that are not listed.

        Raises:
            NotIndexedError: there is no workspace.
        """
        self.ensure_exists()
        return list_roots(self.layout, self.roots)

    def move_root(self, old: str | os.PathLike[str], new: str | os.PathLike[str]) -> MovedRoot:
        """Point a root to the path where its files are now; nothing is read again or embedded.

        Args:
            old: the root's path, which need not exist, or its id.
            new: the folder or file that it is now.

        Raises:
            NotIndexedError: there is no workspace.
            UsageError: there is no such root, `new` does not hold its files, or is in another root.
        """
        check_paths((old, new))
        self.ensure_exists()
        self._gate.name_roots([new], _NOTHING)
        layout = self.layout
        with writer_lock(layout):
            before = {root.root_id: root for root in self.roots}
            moved = move_root(layout, old, new)
            if root := before.get(moved.root.root_id):
                self._gate.name_moved(root, new)
            self._gate.remember()
            return moved

    def use_model(self, name: str) -> bool:
        """Make a model the default for queries and indexing; tell whether it is indexed.

        Raises:
            NotIndexedError: there is no workspace.
            ModelNotFoundError: the model is unknown or not installed.
        """
        self.ensure_exists()
        layout = self.layout
        model = models.open_model(name, layout)
        with writer_lock(layout):
            self._gate.remember(model.spec)
            return use_model(layout, name)

    def status(self) -> Status:
        """Return the status of the workspace, without opening a table.

        Raises:
            NotIndexedError: there is no workspace.
        """
        self.ensure_exists()
        return read_status(self.layout, self.roots)

    @property
    def history(self) -> History:
        """Versions that earlier runs left.

        Raises:
            NotIndexedError: there is no workspace.
        """
        self.ensure_exists()
        return History(self.layout, self.settings.settings.keep_versions, self._root_paths)

    def ensure_exists(self) -> None:
        """Raise an error if there is no workspace.

        Raises:
            NotIndexedError: there is no workspace.
        """
        if not self._layout.exists():
            message = f"There is no workspace at {self.folder} yet. Run: localembed index FOLDER"
            raise NotIndexedError(message)


def _paths(roots: Sequence[Root]) -> dict[str, bytes]:
    return {root.root_id: root.path for root in roots}
