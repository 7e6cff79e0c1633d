"""The one place that answers: workspaces that stay open, and the models that they share.

Safe for several threads. A request names its workspace and brings its variables; nothing here
reads the environment, the current folder or stdout of a client. The resident is one face of it.
"""

from __future__ import annotations

import gc
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from localembed import models
from localembed.embedding import give_back_memory
from localembed.errors import LocalembedError
from localembed.server import memory
from localembed.types.limits import DEFAULT_LIMITS, Limits
from localembed.types.models import EmbedReply, EmbedRequest, ModelInput
from localembed.types.serving import LoadedModel, OpenWorkspace, ServerStatus
from localembed.workspace.model_pool import ModelPool
from localembed.workspace.shared import SharedWorkspace


@dataclass(frozen=True, slots=True)
class Place:
    """How a request names its workspace."""

    folder: str
    """Absolute path of the folder in which the search for a workspace begins."""
    named: str = ""
    """Absolute path of the workspace itself; empty to search for it."""


@dataclass(slots=True)
class _Open:
    """An open workspace, and its use."""

    workspace: SharedWorkspace
    requests: int = 0
    users: int = 0
    """Requests that are being answered."""
    used_at: float = 0.0


class Service:
    """Answers requests about any workspace of this user."""

    def __init__(
        self,
        max_memory: int,
        limits: Limits = DEFAULT_LIMITS,
        used_memory: Callable[[], int | None] = memory.used_bytes,
    ) -> None:
        """Open nothing yet.

        Args:
            max_memory: bytes above which the workspaces used least recently are closed.
            limits: sizes and thresholds.
            used_memory: measures the memory of this process.
        """
        self._max_memory = max_memory
        self._limits = limits
        self._used_memory = used_memory
        self._pool = ModelPool()
        self._open: OrderedDict[Path, _Open] = OrderedDict()
        """Folder → workspace, the one used last at the end."""
        self._lock = Lock()

    @contextmanager
    def workspace(self, place: Place, variables: Mapping[str, str]) -> Iterator[SharedWorkspace]:
        """Lend the workspace of a request; it stays open afterwards.

        Args:
            place: how the request names it.
            variables: variables of the process that sent the request.
        """
        found = SharedWorkspace.discover(
            limits=self._limits, start=place.folder, named=place.named, pool=self._pool
        )
        with self._lock:
            entry = self._open.setdefault(found.folder, _Open(found))
            self._open.move_to_end(found.folder)
            entry.requests += 1
            entry.users += 1
            entry.used_at = time.monotonic()
        try:
            yield entry.workspace.for_process(variables, place.folder)
        finally:
            with self._lock:
                entry.users -= 1
                if not entry.workspace.exists:
                    self._close(found.folder)
            self._keep_within_memory()

    def warm(self, place: Place) -> None:
        """Open a workspace and load its model; the first query reports what is wrong with them."""
        with suppress(LocalembedError), self.workspace(place, {}) as workspace:
            workspace.warm()

    def embed(self, request: EmbedRequest) -> EmbedReply:
        """Return the vectors of a few texts, from the engine that answers queries.

        Raises:
            ValueError: there are too many tokens, or the model is remote or another one.
            LocalembedError: the model cannot be loaded.
        """
        if sum(map(len, request.token_ids)) > self._limits.resident_tokens:
            message = "too many tokens"
            raise ValueError(message)
        place = Place(os.sep, str(request.workspace))
        with self.workspace(place, request.variables) as workspace:
            model = models.open_stored(request.model, request.dim, workspace.layout)
            if model.space_id != request.space_id or model.spec.remote is not None:
                message = f"the model {request.model} is another one here"
                raise ValueError(message)
            embedder = workspace.query_embedder(model)
            inputs = [ModelInput("", ids) for ids in request.token_ids]
            made = embedder.embed_documents(inputs)
            use = embedder.use
            return EmbedReply(made.vectors, use.engine, use.device, use.precision)

    def status(self) -> ServerStatus:
        """Return what is open and loaded, and the memory in use."""
        now = time.monotonic()
        with self._lock:
            entries = [(folder, entry) for folder, entry in reversed(self._open.items())]
        return ServerStatus(
            pid=os.getpid(),
            workspaces=tuple(
                OpenWorkspace(
                    folder=str(folder),
                    requests=entry.requests,
                    idle_seconds=now - entry.used_at,
                    vector_bytes=entry.workspace.vector_bytes,
                )
                for folder, entry in entries
            ),
            models=tuple(
                LoadedModel(key.name, model.use.engine if key.options is not None else "reranker")
                for key, model in self._pool.loaded()
            ),
            memory_bytes=self._used_memory(),
            max_memory_bytes=self._max_memory,
        )

    def _keep_within_memory(self) -> None:
        """Close workspaces until memory is within its bound; the one used last stays."""
        while (self._used_memory() or 0) > self._max_memory:
            with self._lock:
                unused = [folder for folder, entry in self._open.items() if not entry.users]
                newest = next(reversed(self._open), None)
                oldest = next((folder for folder in unused if folder != newest), None)
                if oldest is None:
                    return
                self._close(oldest)
            gc.collect()
            give_back_memory()

    def _close(self, folder: Path) -> None:
        """Close a workspace; the lock is held. Its models go with it if no other one holds them."""
        entry = self._open.get(folder)
        if entry is not None and not entry.users:
            del self._open[folder]
            entry.workspace.close()
