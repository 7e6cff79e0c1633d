"""The backend for servers that speak OpenAI's protocol, whoever made them.

`requests` cuts, `pacing` waits, `client` asks, `reply` believes nothing, `sending` persists.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from localembed.core import offline
from localembed.embedding.options import EngineOptions, Profile, ProfileStore, limits_key
from localembed.embedding.remote.keys import find_key
from localembed.embedding.remote.token_counts import load_tokenizer
from localembed.errors import ModelNotFoundError, OfflineError, UsageError
from localembed.types.models import ModelSpec, RemoteSpec

if TYPE_CHECKING:
    from localembed.embedding.remote.embedder import RemoteEmbedder

__all__ = ["Permission", "load_embedder", "load_query_embedder", "load_tokenizer", "permission"]


@dataclass(frozen=True, slots=True)
class Permission:
    """Leave to ask a server."""

    here: bool
    """Whether it is this machine."""
    key: str | None


def permission(spec: ModelSpec, options: EngineOptions) -> Permission:
    """Return permission to ask a model's server; it holds for one command.

    Raises:
        OfflineError: the server is another machine, and nobody allowed the network.
        RemoteModelError: the server wants a key, and there is none.
    """
    remote = _remote(spec)
    host = urlsplit(remote.base_url).hostname or ""
    here = offline.is_here(host)
    if not here and not options.allow_network:
        raise OfflineError(_refusal(spec, host))
    return Permission(here, find_key(remote, host, is_here=here))


def load_embedder(spec: ModelSpec, folder: Path, options: EngineOptions) -> RemoteEmbedder:
    """Return a server's model (see `embedding.load_embedder`).

    Raises:
        OfflineError: the server is another machine, and nobody allowed the network.
        ModelNotFoundError: the extra that this needs is not installed.
        RemoteModelError: the server wants a key, and there is none.
        UsageError: a cost limit for a model without a price, or a proxy that cannot be used.
    """
    remote = _remote(spec)
    allowed = permission(spec, options)
    try:
        from localembed.embedding.remote.client import Client
        from localembed.embedding.remote.embedder import RemoteEmbedder
        from localembed.embedding.remote.pacing import FIRST, Pace
        from localembed.embedding.remote.sending import Sender
        from localembed.embedding.remote.spending import Spending

        client = Client(spec, remote, allowed.key, here=allowed.here)
    except ModuleNotFoundError as error:
        message = (
            f"Model '{spec.name}' is a server's, which needs a package that is not installed "
            f"({error.name}). Run: pip install 'localembed[openai]'"
        )
        raise ModelNotFoundError(message) from error
    except (ImportError, ValueError) as error:
        message = (
            f"The proxy that the environment names cannot be used: {error} Look at HTTPS_PROXY, "
            "HTTP_PROXY and ALL_PROXY."
        )
        raise UsageError(message) from error
    spending = Spending(spec, options.max_cost)
    notes = _Notes(options.memory, limits_key(remote.base_url, remote.model))
    known = notes.read()
    pace = Pace(
        remote.requests_per_minute or known.requests_per_minute or 0.0,
        remote.tokens_per_minute or known.tokens_per_minute or 0.0,
        remote.max_concurrency,
        time.monotonic,
        # What a token is to the server is known after one answer, and money is at stake.
        first=FIRST if options.max_cost is None else 1,
    )
    if options.purpose and not (options.said_once and known.named):
        options.on_notice(
            f"Sends {options.purpose} to {remote.base_url} (model {remote.model}), nothing else."
        )
        notes.keep(replace(known, named=True))

    def keep_limits(requests: float, tokens: float) -> None:
        if pace.was_told:
            last = notes.read()
            notes.keep(replace(last, requests_per_minute=requests, tokens_per_minute=tokens))

    sender = Sender(client, remote, pace, spending, options.keep)
    return RemoteEmbedder(spec, load_tokenizer(spec, folder), client, sender, keep_limits)


def load_query_embedder(spec: ModelSpec, folder: Path, options: EngineOptions) -> RemoteEmbedder:
    """Return what embeds queries (see `embedding.load_query_embedder`)."""
    return load_embedder(spec, folder, options)


@dataclass(frozen=True, slots=True)
class _Notes:
    """What is remembered of a server."""

    memory: ProfileStore | None
    key: str

    def read(self) -> Profile:
        return self.memory.recall(self.key) if self.memory else Profile()

    def keep(self, profile: Profile) -> None:
        if self.memory and profile != self.read():
            self.memory.keep(self.key, profile)


def _remote(spec: ModelSpec) -> RemoteSpec:
    if spec.remote is None:
        message = f"model '{spec.name}' has no server"
        raise ValueError(message)
    return spec.remote


def _refusal(spec: ModelSpec, host: str) -> str:
    return (
        f"Model '{spec.name}' is asked for at {host}, and nothing leaves this machine unless you "
        "say so: add --allow-network, or write allow_network = true into your config.toml. "
        "Searching the index by words needs no network: --mode text"
    )
