"""What the server has open."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OpenWorkspace:
    """A workspace that the server keeps open."""

    folder: str
    requests: int
    """Requests that it answered."""
    idle_seconds: float
    """Seconds since the last one."""
    vector_bytes: int
    """Bytes of the vectors that are kept in memory."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model on this machine that the server keeps loaded."""

    name: str
    engine: str
    """Engine that embeds; "reranker" for a reranker."""


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """Workspaces, models and memory of the server."""

    pid: int
    workspaces: tuple[OpenWorkspace, ...]
    """The one used last comes first."""
    models: tuple[LoadedModel, ...]
    memory_bytes: int | None
    """Anonymous memory of the process; None where the system does not say."""
    max_memory_bytes: int
    """Bytes above which workspaces are closed."""
