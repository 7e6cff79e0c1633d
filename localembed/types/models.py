"""A model as described in models.toml, and the protocols of tokenizers and embedders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from localembed.types.arrays import IntArray, Vector, VectorMatrix


@dataclass(frozen=True, slots=True)
class RemoteSpec:
    """The part of a block about a provider that speaks OpenAI's protocol, with its limits."""

    base_url: str
    """Base URL including the version, as in https://api.openai.com/v1."""
    model: str
    """The provider's name for the model."""
    answers_as: str = ""
    """The model's name in responses, if it differs."""
    api_key_env: str = ""
    """Environment variable with the key; OPENAI_API_KEY for OpenAI, none for others."""
    tokenizer: str = ""
    """`path:FILE` (a tokenizer.json) or `tiktoken:NAME`; if empty, tokens are estimated."""
    requests_per_minute: int = 0
    """Limit on requests; 0 until the provider reports one."""
    tokens_per_minute: int = 0
    max_inputs: int = 2048
    """Maximum texts per request."""
    max_request_tokens: int = 280_000
    max_request_bytes: int = 1_100_000
    max_concurrency: int = 64
    """Maximum requests in flight."""
    timeout_seconds: float = 120.0
    """Maximum duration of one request, from its first byte to its last."""
    max_tries: int = 5
    patience_seconds: float = 600.0
    """Maximum duration of a request with all its retries."""
    usd_per_million_tokens: float = 0.0
    price_date: str = ""
    """Date at which that price was read."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One block of models.toml."""

    name: str
    backend: str
    sources: tuple[str, ...]
    dim: int
    max_tokens: int
    """Maximum tokens of one input, special tokens included."""
    pooling: str
    normalize: bool
    license: str
    query_prompt: str = ""
    document_prompt: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """File name → hex SHA-256, for every file that affects the vectors."""
    smaller_dims: tuple[int, ...] = ()
    """Smaller dimensions to which vectors may be truncated (Matryoshka)."""
    whole_dim: int = 0
    """Native dimension if `dim` is truncated (Matryoshka), else 0."""
    size_mb: int = 0
    """Size of the weights in MiB; 0 if unknown."""
    languages: tuple[str, ...] = ()
    good_for: str = ""
    remote: RemoteSpec | None = None
    """The provider of a remote model; None for a local one."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one text, as parallel arrays of length n."""

    ids: IntArray
    starts: IntArray
    """Start offsets, in characters."""
    ends: IntArray
    words: IntArray
    """Word numbers; a token may start a chunk if its number differs from the previous one's."""


def share_known(ids: IntArray, unknown_id: int | None) -> float:
    """Return the share of tokens that the model knows, 0 to 1; 1 if there are none."""
    import numpy as np

    if unknown_id is None or not len(ids):
        return 1.0
    return 1.0 - int(np.count_nonzero(ids == unknown_id)) / len(ids)


class Tokenizer(Protocol):
    """Turns texts into tokens with offsets, without special tokens and without truncation."""

    word_local: bool
    """Whether slicing the ids at word boundaries gives the ids of the sliced text."""
    special_tokens: int
    """Number of special tokens that the model needs around every input."""

    @property
    def unknown_id(self) -> int | None:
        """Return the id of what the model does not know, None if it knows every character."""

    def __call__(self, texts: Sequence[str], /) -> list[Tokens]:
        """Return the tokens of each text."""


@dataclass(frozen=True, slots=True)
class RemoteUse:
    """What was requested from a provider."""

    requests: int
    """Number of requests, retries included."""
    retries: int
    tokens_billed: int
    """Tokens as billed by the provider, else as counted here."""
    usd: float | None
    """US dollars; None if no price is known."""
    paused_seconds: float
    """Seconds waited because the provider demanded it."""


@dataclass(frozen=True, slots=True)
class EngineUse:
    """The engine that embedded, and how full its batches were."""

    engine: str
    device: str
    precision: str
    batch_tokens: int
    """Maximum padded tokens per batch."""
    tokens: int
    """Tokens given to the model, special tokens and prompts included."""
    padded_tokens: int
    """Tokens given to the model, padding included."""
    too_large: int
    """Number of inputs that did not fit into memory even alone."""
    remote: RemoteUse | None = None
    """Use of the provider; None for a local model."""

    @property
    def padding(self) -> float:
        """The share of the work that was padding."""
        return 1 - self.tokens / self.padded_tokens if self.padded_tokens else 0.0


@dataclass(frozen=True, slots=True)
class ModelInput:
    """One text for a model, prompt included: local models use the ids, remote ones the text."""

    text: str
    token_ids: IntArray
    """(tokens,) int32, without special tokens."""
    key: bytes = b""
    """Digest of the cleaned text, if the vector is to be kept under it."""


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The vectors of inputs, and why some have none."""

    vectors: VectorMatrix
    """(n, dim) float32, row i for input i; the row of a failed input is NaN."""
    failures: Mapping[int, str]
    """Row → reason why it has no vector."""
    unfinished: frozenset[int] = frozenset()
    """Rows that were not begun, since the call was to end early; they are NaN too."""


class Progress(Protocol):
    """Follows one call that embeds texts, and can end it early."""

    def begun(self, inputs: int, /) -> None:
        """Count inputs that were begun (local) or answered (remote)."""

    def is_over(self) -> bool:
        """Tell whether to begin no more inputs; a remote model does not ask."""


class NoProgress:
    """Follows nothing and ends nothing."""

    def begun(self, inputs: int, /) -> None:
        """Do nothing."""

    def is_over(self) -> bool:
        """Return False."""
        return False


NO_PROGRESS = NoProgress()


@dataclass(frozen=True, slots=True)
class EmbeddedQuery:
    """A query's vector, and what is known of it."""

    vector: Vector
    """(dim,) float32."""
    pieces: int = 1
    """Number of parts in which it was embedded; above 1 if it exceeds the model's limit."""
    readable: float = 1.0
    """Share of its tokens that the model knows, 0 to 1."""


class Embedder(Protocol):
    """Turns texts and queries into vectors of one space; safe for several threads at once."""

    spec: ModelSpec

    @property
    def use(self) -> EngineUse:
        """The engine, and what it has embedded so far."""

    def embed_documents(
        self, inputs: Sequence[ModelInput], /, progress: Progress = NO_PROGRESS
    ) -> Embeddings:
        """Return the vectors of texts, in their order.

        Args:
            inputs: any number of texts with their prompts.
            progress: follows the call; it is asked before each batch whether to go on.
        """

    def embed_query(self, text: str, /) -> Vector:
        """Return (dim,) float32; for a query over the model's limit, the mean of its parts."""

    def count_pieces(self, text: str, /) -> int:
        """Return the number of parts in which a query is embedded; 1 if it fits the model."""

    def readable(self, text: str, /) -> float:
        """Return the share of a query's tokens that the model knows, 0 to 1."""

    def close(self) -> None:
        """Cancel calls in other threads, which then fail; it cannot embed any more."""


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Texts to embed in a process that holds their model already."""

    workspace: Path
    model: str
    dim: int
    space_id: str
    variables: Mapping[str, str]
    """Engine options, as `LOCALEMBED_` variables."""
    token_ids: tuple[IntArray, ...]
    """Ids of each text with its prompt, without special tokens."""


@dataclass(frozen=True, slots=True)
class EmbedReply:
    """Vectors from another process, and what computed them."""

    vectors: VectorMatrix
    """(n, dim) float32; a text that could not be embedded has a row that is not finite."""
    engine: str
    device: str
    precision: str


class EmbeddingService(Protocol):
    """Another process that may hold a model already."""

    def embed(self, request: EmbedRequest, /) -> EmbedReply | None:
        """Return the vectors of texts, None if the process is not there or cannot do it."""


class Reranker(Protocol):
    """Reads a query and a text together."""

    def __call__(self, query: str, texts: Sequence[str], /) -> Vector:
        """Return a score for each text, the higher the better: (n,) float32."""


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A known model, and whether it is installed on this machine."""

    spec: ModelSpec
    folder: Path | None
    """Folder of its files; None if it is not installed."""
    bytes: int
    """Size of the weights; 0 if unknown."""
    hint: str | None
    """How to install it; None if nothing is missing."""
