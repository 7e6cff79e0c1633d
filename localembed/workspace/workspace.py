"""The composition root and public Python API: a workspace and its operations."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from localembed import models
from localembed.pipeline.run import run
from localembed.sources import WalkRules
from localembed.store.disk import hide_from_git, make_folder
from localembed.store.head import Head, read_head
from localembed.store.lock import writer_lock
from localembed.store.modes import tighten_workspace
from localembed.types.events import EventListener, ignore_event
from localembed.types.listing import FileListing
from localembed.types.models import EmbeddingService
from localembed.types.runs import Notice, Preview, RunReport, ignore_notice
from localembed.types.tables import MovedRoot, RootListing, Status
from localembed.workspace import config_file
from localembed.workspace.file_listing import list_files
from localembed.workspace.gate import check_new
from localembed.workspace.guarded import NOTHING
from localembed.workspace.history import History
from localembed.workspace.indexing import (
    RunOptions,
    make_job,
    preview,
    remove_everywhere,
    use_model,
)
from localembed.workspace.lost_roots import lost_notice, lost_roots
from localembed.workspace.reach import EVERY_OPTION, permissions_for
from localembed.workspace.replaced_roots import check_replaced
from localembed.workspace.root_moves import move_root
from localembed.workspace.roots import Scope
from localembed.workspace.searchable import SearchableWorkspace
from localembed.workspace.settings import resolve
from localembed.workspace.status import list_roots, read_status
from localembed.workspace.tables import select_table
from localembed.workspace.value_checks import (
    check_cost,
    check_flags,
    check_listeners,
    check_names,
    check_paths,
    check_root_options,
)


class Workspace(SearchableWorkspace):
    """A folder that holds an index, with all of its operations."""

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
        options: Mapping[str, Any] = NOTHING,
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
        check_flags(
            verify=verify,
            allow_mass_delete=allow_mass_delete,
            retry_failed=retry_failed,
            wait=wait,
        )
        check_listeners(on_event=on_event, on_notice=on_notice)
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
        options: Mapping[str, Any] = NOTHING,
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
        check_listeners(on_event=on_event)
        self.name_roots(paths, options)
        layout = self.layout
        targets = self._roots.targets(paths)
        scopes = self._roots.scopes(targets, options, self._gate.admitted, remember=False)
        sourced = self.settings
        selection = select_table(sourced, read_head(layout), layout)
        return preview(layout, selection, sourced.settings, scopes, self.limits, on_event)

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
        check_listeners(on_event=on_event)
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

    def files(
        self,
        paths: Sequence[str | os.PathLike[str]] = (),
        *,
        skipped: bool = False,
        by_chunks: bool = False,
    ) -> FileListing:
        """Return the files that are indexed, and those that failed; no file is opened.

        Args:
            paths: folders or files below roots; none means every root.
            skipped: walk the roots again to find what is skipped, too, each with its reason.
            by_chunks: sort by chunks, most first, instead of by path.

        Raises:
            NotIndexedError: there is no workspace.
            UsageError: a path is in no root.
        """
        check_paths(paths)
        self.ensure_exists()
        layout = self.layout
        scopes = [self._roots.scope_of(path, self._current) for path in paths]
        scopes = scopes or [Scope(root, b"") for root in self.roots]
        rules = WalkRules(self.settings.settings.max_file_size) if skipped else None
        return list_files(layout, scopes, rules, by_chunks=by_chunks)

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
        self._gate.name_roots([new], NOTHING)
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
        check_names(name=name)
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
