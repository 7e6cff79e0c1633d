"""One block of models.toml, as a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RemoteSpec:
    """A server that speaks OpenAI's protocol, and how much it takes; a part of a block."""

    base_url: str
    """With the version in it, as in https://api.openai.com/v1."""
    model: str
    """As the server calls it."""
    answers_as: str = ""
    """As the server's answers call it, where that is another name."""
    api_key_env: str = ""
    """The variable with the key; OPENAI_API_KEY for OpenAI, none for others."""
    tokenizer: str = ""
    """`path:FILE` (a tokenizer.json) or `tiktoken:NAME`; tokens are estimated without."""
    requests_per_minute: int = 0
    """0 until the server says so."""
    tokens_per_minute: int = 0
    max_inputs: int = 2048
    """Texts of one request."""
    max_request_tokens: int = 280_000
    max_request_bytes: int = 1_100_000
    max_concurrency: int = 64
    """Requests in flight."""
    timeout_seconds: float = 120.0
    """Of one request, from its first byte to its last."""
    max_tries: int = 5
    patience_seconds: float = 600.0
    """For a request with all its retries."""
    usd_per_million_tokens: float = 0.0
    price_date: str = ""
    """When that price was read."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One block of models.toml."""

    name: str
    backend: str
    sources: tuple[str, ...]
    dim: int
    max_tokens: int
    """Of one input, special tokens included."""
    pooling: str
    normalize: bool
    license: str
    query_prompt: str = ""
    document_prompt: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """File name → hex SHA-256, for every file that decides what a vector is."""
    smaller_dims: tuple[int, ...] = ()
    """To how many numbers a vector may be cut (Matryoshka)."""
    whole_dim: int = 0
    """What the model itself gives where `dim` is one of its smaller ones; else 0."""
    size_mb: int = 0
    """Of the weights, in MiB; 0 where that is not known."""
    languages: tuple[str, ...] = ()
    good_for: str = ""
    remote: RemoteSpec | None = None
    """Where the model is asked for; None if its files are here."""
