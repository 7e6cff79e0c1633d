"""Models at any provider that speaks OpenAI's protocol."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import urlsplit

from localembed.core import hashing, offline
from localembed.embedding.options import (
    EngineOptions,
    LoadContext,
    Profile,
    Profiles,
    RemoteOptions,
    limits_key,
)
from localembed.embedding.remote.keys import find_key, key_variable
from localembed.errors import ModelNotFoundError, OfflineError, UsageError
from localembed.types.models import ModelInput, ModelSpec, RemoteSpec, Tokenizer
from localembed.types.runs import Price

if TYPE_CHECKING:
    from localembed.embedding.remote.embedder import RemoteEmbedder
    from localembed.types.runs import Estimate

_PACKAGES = ("openai", "tenacity")
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_CONNECTION_VARIABLES = (
    *_PROXIES, *map(str.lower, _PROXIES), "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip
"""Variables by which the HTTP client finds its way to a provider."""


@dataclass(frozen=True, slots=True)
class Permission:
    """Permission to use a remote model, for one command."""

    here: bool
    """Whether the provider is on this machine."""
    key: str | None


@dataclass(frozen=True, slots=True)
class RemoteBackend:
    """One model at a provider (see `backends.Backend`)."""

    spec: ModelSpec
    windows_in_flight: ClassVar[int] = 2
    """Windows in flight: while one waits for its slowest answer, the next is requested."""

    @property
    def remote(self) -> RemoteSpec:
        """The provider's part of the spec."""
        if self.spec.remote is None:
            message = f"model '{self.spec.name}' has no provider"
            raise ValueError(message)
        return self.spec.remote

    @property
    def provider(self) -> str:
        """Address of the provider."""
        return self.remote.base_url

    @property
    def variables(self) -> tuple[str, ...]:
        """Variables with the key, the proxies and the certificates."""
        key = key_variable(self.remote, urlsplit(self.provider).hostname or "")
        return (*((key,) if key else ()), *_CONNECTION_VARIABLES)

    def space_id(self, _hashes: Mapping[str, str], /) -> str:
        """Return the identity of the vectors: the port may change, the host may not."""
        spec, remote = self.spec, self.remote
        return hashing.fingerprint(
            {
                "server": urlsplit(remote.base_url).hostname,
                "model": remote.model,
                "query_prompt": spec.query_prompt,
                "document_prompt": spec.document_prompt,
                "normalize": spec.normalize,
                "dim": spec.dim,
            }
        )

    def tokenizer_facts(self) -> Mapping[str, str]:
        """Return the tokenizer, which is not part of the space."""
        return {"tokenizer": self.remote.tokenizer}

    def is_available(self) -> bool:
        """Tell whether the extra `openai` is installed."""
        return all(find_spec(name) is not None for name in _PACKAGES)

    def count_requests(self, inputs: Sequence[ModelInput], /) -> int:
        """Return the number of requests for inputs."""
        from localembed.embedding.remote.requests import make_requests

        return len(make_requests(inputs, self.remote))

    def price(self, estimate: Estimate, profiles: Profiles, /) -> Price:
        """Return the minutes at the provider's known limits, and the cost.

        The limits of models.toml are used first, then those of the provider's last answer.
        """
        remote = self.remote
        last = profiles.recall(limits_key(remote.base_url, remote.model))
        requests = remote.requests_per_minute or last.requests_per_minute or 0.0
        tokens = remote.tokens_per_minute or last.tokens_per_minute or 0.0
        rates = ((estimate.requests, requests), (estimate.tokens, tokens))
        usd = remote.usd_per_million_tokens
        return Price(
            server=remote.base_url,
            minutes=max((needed / rate for needed, rate in rates if rate), default=None),
            usd=estimate.tokens * usd / 1_000_000 if usd else None,
            price_date=remote.price_date or None,
        )

    def permission(self, options: RemoteOptions, /) -> Permission:
        """Return permission to use the model for one command.

        Raises:
            OfflineError: the provider is on another machine, and the network is not allowed.
            RemoteModelError: the provider needs a key, and there is none.
        """
        host = urlsplit(self.provider).hostname or ""
        here = offline.is_here(host)
        if not here and not options.allow_network:
            raise OfflineError(_refusal(self.spec, host))
        return Permission(here, find_key(self.remote, host, is_here=here))

    def load_tokenizer(self, folder: Path, /) -> Tokenizer:
        """Return the provider's tokenizer, or one that estimates its counts."""
        from localembed.embedding.remote.token_counts import load_tokenizer

        return load_tokenizer(self.spec, folder)

    def load(
        self, folder: Path, _options: EngineOptions, options: RemoteOptions, context: LoadContext, /
    ) -> RemoteEmbedder:
        """Connect to the provider; nothing is sent yet.

        Raises:
            OfflineError: the provider is on another machine, and the network is not allowed.
            ModelNotFoundError: the extra `openai` is not installed.
            RemoteModelError: the provider needs a key, and there is none.
            UsageError: a cost limit for a model without a price, or a proxy that cannot be used.
        """
        spec, remote = self.spec, self.remote
        allowed = self.permission(options)
        try:
            from localembed.embedding.remote.client import Client
            from localembed.embedding.remote.embedder import RemoteEmbedder
            from localembed.embedding.remote.pacing import FIRST, Pace
            from localembed.embedding.remote.sending import Sender
            from localembed.embedding.remote.spending import Spending

            client = Client(spec, remote, allowed.key, here=allowed.here)
        except ModuleNotFoundError as error:
            message = (
                f"Model '{spec.name}' is remote, which needs a package that is not installed "
                f"({error.name}). Run: pip install 'localembed[openai]'"
            )
            raise ModelNotFoundError(message) from error
        except (ImportError, ValueError) as error:
            message = (
                f"The proxy named by the environment cannot be used: {str(error).rstrip('.')}. "
                "Check HTTPS_PROXY, HTTP_PROXY and ALL_PROXY."
            )
            raise UsageError(message) from error
        spending = Spending(spec, options.max_cost)
        limits = KnownLimits(context.profiles, limits_key(remote.base_url, remote.model))
        known = limits.read()
        pace = Pace(
            remote.requests_per_minute or known.requests_per_minute or 0.0,
            remote.tokens_per_minute or known.tokens_per_minute or 0.0,
            remote.max_concurrency,
            time.monotonic,
            # One answer shows how the provider counts tokens; a limit on cost must know that first.
            first=FIRST if options.max_cost is None else 1,
        )
        if options.purpose and not (options.announce_once and known.named):
            context.on_notice(
                f"Sends {options.purpose} to {remote.base_url} (model {remote.model}), "
                "nothing else."
            )
            limits.keep(replace(known, named=True))
        sender = Sender(client, remote, pace, spending, options.answers)
        return RemoteEmbedder(spec, self.load_tokenizer(folder), client, sender, limits)

    def load_for_queries(
        self, folder: Path, options: EngineOptions, remote: RemoteOptions, context: LoadContext, /
    ) -> RemoteEmbedder:
        """Connect to the provider (see `load`)."""
        return self.load(folder, options, remote, context)


@dataclass(frozen=True, slots=True)
class KnownLimits:
    """The stored limits of a provider."""

    profiles: Profiles | None
    key: str

    def read(self) -> Profile:
        """Return the stored profile."""
        return self.profiles.recall(self.key) if self.profiles else Profile()

    def keep(self, profile: Profile) -> None:
        """Store a profile, unless it is unchanged."""
        if self.profiles and profile != self.read():
            self.profiles.keep(self.key, profile)

    def keep_rates(self, requests: float, tokens: float) -> None:
        """Store requests and tokens per minute."""
        last = self.read()
        self.keep(replace(last, requests_per_minute=requests, tokens_per_minute=tokens))


def _refusal(spec: ModelSpec, host: str) -> str:
    return (
        f"Model '{spec.name}' is at {host}, and nothing leaves this machine unless you allow it: "
        "add --allow-network, or write allow_network = true into your config.toml. If that name is "
        "this machine, write its address into base_url, such as 127.0.0.1. Searching the index by "
        "words needs no network: --mode text"
    )
