"""A workspace that answers queries."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self, Unpack

from localembed.core.text import counted, show_path
from localembed.errors import NotIndexedError, UsageError
from localembed.search import Answer, Reranking, Searcher
from localembed.search.cut import cut
from localembed.search.passages import context_text
from localembed.store.head import read_head
from localembed.store.heartbeat import current
from localembed.types.documents import Root
from localembed.types.limits import DEFAULT_LIMITS, Limits
from localembed.types.queries import EVERYTHING, Filter, Query, QueryResult, SearchHit, SearchMode
from localembed.types.runs import Notice, ignore_notice
from localembed.workspace.gate import discover
from localembed.workspace.guarded import NOTHING, GuardedWorkspace, paths_of
from localembed.workspace.lost_roots import lost_roots
from localembed.workspace.model_pool import ModelPool
from localembed.workspace.path_patterns import resolved_paths
from localembed.workspace.query_keywords import QueryKeywords, query_filter, query_text
from localembed.workspace.query_models import PermittedModels, QueryModels, Terms, WarmUpModels
from localembed.workspace.stale_hits import with_stale_marks
from localembed.workspace.status import elsewhere_notice, is_in, query_result
from localembed.workspace.value_checks import (
    check_budget,
    check_listeners,
    check_minimums,
    check_paths,
    check_place,
    check_query,
    check_similar,
)


class SearchableWorkspace(GuardedWorkspace):
    """A workspace whose table and models stay open from one query to the next."""

    def __init__(
        self,
        folder: str | os.PathLike[str],
        flags: Mapping[str, object] = NOTHING,
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
            UsageError: no workspace can be there, or there is no setting of a name.
        """
        super().__init__(folder, flags, limits)
        self._models = QueryModels(self._layout, self._flags, pool or ModelPool())
        self._searcher = Searcher(self._layout, limits)

    @classmethod
    def discover(
        cls,
        flags: Mapping[str, object] = NOTHING,
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

    def query(  # noqa: PLR0913 - keywords with defaults
        self,
        text: str | None = None,
        *,
        top_k: int | None = None,
        per_file: int | None = None,
        mode: SearchMode | None = None,
        model: str | None = None,
        filter: Filter = EVERYTHING,
        path: str | Sequence[str] = (),
        lang: str | Sequence[str] = (),
        since: str | datetime.datetime | None = None,
        where: str | None = None,
        min_score: float | None = None,
        min_confidence: float | None = None,
        rerank: str | None = None,
        at: str | None = None,
        like: str | None = None,
    ) -> list[SearchHit]:
        """Return the chunks that answer a query, best first; empty if none does.

        Filters are applied before the search, so that `top_k` hits remain if enough chunks match.

        Args:
            text: the query; None with `like`.
            top_k: maximum number of hits, 1 to 10,000; the setting's if not given.
            per_file: maximum number of hits of one file, 0 for no maximum; the setting's if not
                given. Hits beyond it follow only if there are too few files.
            mode: hybrid, vector or text; the setting's if not given.
            model: search this model's table instead of the default one.
            filter: what to search, as a record; it excludes the next four keywords.
            path: globs such as `*.md` or `docs/`; a path must match one of them.
            lang: names such as python, or suffixes such as py; a file must have one of them.
            since: earliest modification time: a duration before now (12h, 7d, 2w), a date such as
                2026-11-01, or a datetime; local time unless it has a time zone.
            where: SQL condition over the columns of a chunk, such as `tokens > 9`.
            min_score: minimum score of a hit, which depends on the mode.
            min_confidence: minimum confidence of a hit, 0 to 1.
            rerank: reranker for the top 50.
            at: version to search instead of the newest: a run's number or a tag.
            like: path, path:line or chunk id of a passage that hits are to resemble.

        Raises:
            UsageError: a value is invalid, values contradict each other, or `min_confidence` is
                given where hits have no confidence.
            NotIndexedError: there is nothing to search.
            ModelNotFoundError: the model's files are not on this machine.
            ModelChangedError: the model is not the one the table was built with.
            OfflineError: the model is remote, and the network is not allowed.
        """
        check_minimums(min_score, min_confidence)
        settings = self.settings.settings
        query = Query(
            query_text(text, like, mode, rerank),
            settings.mode if mode is None else mode,
            settings.top_k if top_k is None else top_k,
            settings.per_file if per_file is None else per_file,
            model,
            query_filter(filter, path, lang, since, where),
            rerank=rerank,
            at=at,
        )
        found = self.search(query) if like is None else self.like(query)
        return list(cut(found, min_score, min_confidence).hits)

    def context(
        self,
        query: str | None = None,
        budget: int = 2000,
        **keywords: Unpack[QueryKeywords],
    ) -> str:
        """Return the best passages for the prompt of a language model, with numbered sources.

        It is the text of `localembed query --format context`: neighbouring chunks of a document
        are one passage, a file has any number of them unless `per_file` is given, and paths below
        the current folder are relative to it.

        Args:
            query: the query; None with `like`.
            budget: maximum tokens of all passages together, as the embedding model counts them.
            keywords: as for `query`.

        Returns:
            Passages such as `[1] notes/keys.md:1-9` with their text, best first; empty if nothing
            is found or no chunk fits the budget.

        Raises:
            UsageError: as for `query`, or the budget is no positive whole number.
            NotIndexedError: there is nothing to search.
        """
        check_budget(budget)
        here = f"{Path.cwd()}{os.sep}"
        keywords.setdefault("per_file", 0)
        hits = self.query(query, **keywords)
        return context_text([replace(h, path=h.path.removeprefix(here)) for h in hits], budget)

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
        check_query(query)
        check_listeners(on_notice=on_notice)
        roots = self.roots
        self._ensure_listed(roots)
        patterns = query.filter.paths
        query = replace(query, filter=resolved_paths(query.filter, self._current))
        reranking = None
        if query.rerank is not None:
            # A reranker that cannot be used is rejected before the search.
            reranker = self._models.reranker(query.rerank)
            reranking = Reranking(reranker, query.text)
        terms = Terms(query.allow_network, on_notice, self._variables)
        embedder = PermittedModels(self._models, terms)
        answer = self._searcher.search(query, paths_of(roots), embedder, reranking)
        for root in roots:
            if root.elsewhere and any(is_in(hit, root) for hit in answer.hits):
                on_notice(elsewhere_notice(root))
        if not answer.hits:
            self._name_unmatched(query, patterns, on_notice)
        return query_result(query, _marked(answer, query, roots), begin)

    def _name_unmatched(self, query: Query, patterns: Sequence[str], on_notice: Notice) -> None:
        """Name each path pattern that nothing in the index matches."""
        for pattern in patterns:
            filter = resolved_paths(Filter((pattern,)), self._current)
            if not self._searcher.holds(replace(query, filter=filter), self._root_paths):
                on_notice(f"No indexed file matches the path {pattern}")

    def warm(self) -> None:
        """Load what the next query needs; nothing is sent to a provider.

        Raises:
            NotIndexedError: there is nothing to search.
            ModelChangedError: the model is not the one the table was built with.
        """
        models = WarmUpModels(self._models, self.layout, Terms(variables=self._variables))
        for _ in range(2):  # the second keeps the vectors in memory
            self._searcher.search(Query("warm"), self._root_paths, models)

    def like(self, query: Query, on_notice: Notice = ignore_notice) -> QueryResult:
        """Return the chunks most similar to an indexed passage, without the passage itself.

        Args:
            query: a query whose text is a path, path:line or chunk id; vectors are compared,
                whatever its mode.
            on_notice: called with a sentence if nothing matches its filter.

        Raises:
            UsageError: the place is not indexed or has no vector, or a value is invalid.
            NotIndexedError: there is nothing to search.
        """
        begin = time.perf_counter()
        check_similar(query)
        query = replace(query, mode="vector")
        self._gate.check()
        check_paths((query.text,), "place")
        check_listeners(on_notice=on_notice)
        self._ensure_listed(self.roots)
        patterns = query.filter.paths
        query = replace(query, filter=resolved_paths(query.filter, self._current))
        where = self._roots.condition(query.text, self._current)
        answer = self._searcher.like(where, query, self._root_paths)
        if answer is None:
            message = f"{query.text} is not indexed, or has no vector. Run: localembed index"
            raise UsageError(message)
        if not answer.hits:
            self._name_unmatched(query, patterns, on_notice)
        return query_result(query, _marked(answer, query, self.roots), begin)

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
        self._ensure_listed(self.roots)
        where = self._roots.condition(place, self._current)
        answer = self._searcher.show(where, query, self._root_paths)
        return list(_marked(answer, query, self.roots).hits)

    def _ensure_listed(self, roots: Sequence[Root]) -> None:
        """Raise an error if no root is listed though files are stored, or none has any text."""
        stored = 0 if roots else sum(lost_roots(self.layout).values())
        if stored:
            message = (
                f"{self.layout.config} lists none of the roots of the {counted(stored, 'file')} "
                "that are stored. To continue with them: localembed index FOLDER"
            )
            raise NotIndexedError(message)
        if roots and read_head(self.layout).table() is None and not current(self.layout):
            places = ", ".join(show_path(root.path) for root in roots)
            message = (
                f"Nothing of {places} is in the index: no file there has text that can be read, or "
                "the first run did not finish. To see why: localembed files --skipped. To add "
                "another folder: localembed index FOLDER"
            )
            raise NotIndexedError(message)


def _marked(answer: Answer, query: Query, roots: Sequence[Root]) -> Answer:
    """Mark hits in files that have changed since, unless an earlier version was asked for."""
    if query.at is not None:
        return answer
    return replace(answer, hits=with_stale_marks(answer.hits, roots))
