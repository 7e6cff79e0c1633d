"""Make the pipeline's job for a run, from the settings, the roots and the model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from localembed.chunking import clean
from localembed.core.cancellation import CancelToken
from localembed.embedding import RemoteOptions, backend_of, load_embedder, load_tokenizer
from localembed.embedding.profiles import ProfileStore
from localembed.errors import ModelError, ModelNotFoundError
from localembed.models import LocatedModel
from localembed.pipeline.estimate import estimate
from localembed.pipeline.run import Job, remove_documents
from localembed.sources import WalkRules
from localembed.store.head import facts_of, publish_head, read_head
from localembed.store.layout import Layout
from localembed.store.pending_vectors import PendingVectors, drop_all
from localembed.types.documents import DocumentChunker, FileRecord
from localembed.types.events import EventListener
from localembed.types.limits import Limits
from localembed.types.runs import Notice, Preview, RunReport, ignore_notice
from localembed.workspace import config_file
from localembed.workspace.roots import Scope
from localembed.workspace.service_embedder import service_embedder
from localembed.workspace.settings import Settings, engine_options, load_context
from localembed.workspace.tables import TableSelection

if TYPE_CHECKING:
    from pathlib import Path

    from localembed.chunking.rules import ChunkRules
    from localembed.types.models import Embedder, EmbeddingService, ModelSpec

_BYTES_PER_TOKEN = 4
"""Bytes per token of English text, to estimate the length of a run."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of one run."""

    verify: bool = False
    allow_mass_delete: bool = False
    retry_failed: bool = False
    max_cost: float | None = None
    """Maximum US dollars for a remote model; None for no limit."""
    embedding_service: EmbeddingService | None = None
    """Process that may hold the model already, and embeds few chunks."""


@dataclass(frozen=True, slots=True)
class _ChunkerLoader:
    """Loads a model's chunker, in this process or in a worker process."""

    spec: ModelSpec
    folder: Path
    rules: ChunkRules

    def load(self, token: CancelToken) -> DocumentChunker:
        """Load the chunker (see `pipeline.chunk_workers.ChunkerLoader`)."""
        from localembed.chunking.chunker import Chunker

        tokenizer = load_tokenizer(self.spec, self.folder)
        return Chunker(tokenizer, clean.clean, self.rules, self.spec.document_prompt, token)


def make_job(  # noqa: PLR0913 - what a run is made of
    layout: Layout,
    selection: TableSelection,
    settings: Settings,
    scopes: tuple[Scope, ...],
    options: RunOptions,
    limits: Limits,
    on_notice: Notice = ignore_notice,
) -> Job:
    """Return a run over scopes; models are loaded when they are first used.

    Args:
        layout: the workspace.
        selection: the table, and the model that fills it.
        settings: the settings in force.
        scopes: the requested parts of roots; a new table, which is used once it is complete, is
            built from all roots.
        options: options of this run.
        limits: sizes and thresholds.
        on_notice: called with a sentence about what takes long or is not available.
    """
    entry = read_head(layout).tables.get(selection.facts.name)
    unfinished = entry is None or not entry.complete
    roots = {root.root_id: root for root in config_file.read_roots(layout)}
    roots |= {scope.root.root_id: scope.root for scope in scopes}
    to_index = tuple(Scope(root, b"") for root in roots.values()) if unfinished else scopes
    walked = {scope.root.root_id for scope in to_index if not scope.path}
    pending = PendingVectors(layout, selection.facts.space_id, selection.facts.dim)
    return Job(
        layout=layout,
        facts=selection.facts,
        scopes=tuple((scope.root, scope.path) for scope in to_index),
        rules=WalkRules(settings.max_file_size),
        chunker=_chunker(selection),
        embedder=_embedder(layout, selection, settings, pending, options, limits, on_notice),
        pending=pending,
        limits=limits,
        becomes_default=selection.becomes_default,
        covers_all=unfinished,
        walks_all=walked >= roots.keys(),
        root_paths={root_id: root.path for root_id, root in roots.items()},
        keep_versions=settings.keep_versions,
        commit_seconds=settings.commit_seconds,
        verify=options.verify,
        allow_mass_delete=options.allow_mass_delete,
        retry_failed=options.retry_failed,
        forgotten_roots=config_file.read_forgotten(layout),
    )


def preview(
    layout: Layout,
    selection: TableSelection,
    settings: Settings,
    scopes: tuple[Scope, ...],
    limits: Limits,
    listener: EventListener,
) -> Preview:
    """Return what a run over scopes would embed and cost; nothing is written or sent."""
    spec = selection.usable_model().spec
    backend = backend_of(spec)
    job = make_job(layout, selection, settings, scopes, RunOptions(), limits)
    estimated = estimate(job, backend, listener)
    return Preview(spec.name, estimated, backend.price(estimated, ProfileStore()))


@dataclass(frozen=True, slots=True)
class _EmbedderLoader:
    """Loads the model of a run (see `pipeline.stages.EmbedderLoader`)."""

    layout: Layout
    model: LocatedModel
    settings: Settings
    pending: PendingVectors
    options: RunOptions
    on_notice: Notice
    max_service_tokens: int

    @property
    def windows_in_flight(self) -> int:
        """Number of windows to embed concurrently."""
        return backend_of(self.model.spec).windows_in_flight

    def load(self, text_bytes: int, tokens: int) -> Embedder:
        """Load the model, unless another process embeds the few tokens."""
        if self.options.embedding_service is not None and tokens <= self.max_service_tokens:
            embedder = service_embedder(
                self.options.embedding_service,
                self.layout,
                self.model,
                engine_options(self.settings),
                partial(self._load, text_bytes),
                self.max_service_tokens,
            )
            if embedder is not None:
                return embedder
        return self._load(text_bytes)

    def _load(self, text_bytes: int) -> Embedder:
        model = self.model
        remote = RemoteOptions(
            allow_network=self.settings.allow_network,
            max_cost=self.options.max_cost,
            purpose="the text of new and changed files, later your queries,",
            answers=self.pending,
        )
        context = replace(
            load_context(model.space_id),
            job_tokens=text_bytes // _BYTES_PER_TOKEN,
            on_notice=self.on_notice,
        )
        return load_embedder(
            model.spec, model.folder, engine_options(self.settings), remote, context
        )


@dataclass(frozen=True, slots=True)
class _Missing:
    """Stands for a chunker or a model that cannot be loaded."""

    problem: ModelError
    windows_in_flight: int = 1

    def load(self, *_needed: object) -> NoReturn:
        """Raise the reason why it cannot be loaded."""
        raise self.problem


def _chunker(selection: TableSelection) -> _ChunkerLoader | _Missing:
    if selection.model is None:
        return _Missing(selection.problem or ModelNotFoundError(selection.facts.model))
    return _ChunkerLoader(selection.model.spec, selection.model.folder, selection.rules)


def _embedder(  # noqa: PLR0913 - what a run is made of
    layout: Layout,
    selection: TableSelection,
    settings: Settings,
    pending: PendingVectors,
    options: RunOptions,
    limits: Limits,
    on_notice: Notice,
) -> _EmbedderLoader | _Missing:
    if selection.model is None or selection.problem is not None:
        return _Missing(selection.problem or ModelNotFoundError(selection.facts.model))
    return _EmbedderLoader(
        layout, selection.model, settings, pending, options, on_notice, limits.resident_tokens
    )


def remove_everywhere(
    layout: Layout, scope: Scope, keep_versions: int, listener: EventListener
) -> RunReport | None:
    """Remove the documents of a scope, and of roots removed earlier, from every table.

    The caller holds the writer lock. Return the report of the default table, None if there is
    none.
    """
    head = read_head(layout)
    forgotten = config_file.read_forgotten(layout)

    def should_remove(record: FileRecord) -> bool:
        below = record.path == scope.path or record.path.startswith(scope.path + b"/")
        inside = record.root_id == scope.root.root_id and (not scope.path or below)
        return inside or record.root_id in forgotten

    shown: RunReport | None = None
    for name, entry in head.tables.items():
        facts = facts_of(name, entry)
        report = remove_documents(layout, facts, should_remove, keep_versions, listener)
        shown = report if name == head.default else shown
    drop_all(layout)  # some may be of a table that was never published
    config_file.write_roots(layout, config_file.read_roots(layout))
    return shown


def use_model(layout: Layout, name: str) -> bool:
    """Make a model the workspace's default; tell whether it has a complete index with it.

    The caller holds the writer lock.
    """
    config_file.write_setting(layout, "model", name)
    head = read_head(layout)
    found = head.table(name)
    if found is None or not found[1].complete:
        return False
    publish_head(layout, replace(head, default=found[0]))
    return True
