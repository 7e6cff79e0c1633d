"""A model as a block of models.toml has it, and the seams to what tokenises and embeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from localembed.types.arrays import IntArray, Vector, VectorMatrix


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


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one text, as parallel arrays of length n."""

    ids: IntArray
    starts: IntArray
    """Characters."""
    ends: IntArray
    words: IntArray
    """A word's number; a token may start a chunk where this differs from its left neighbour's."""


class Tokenizer(Protocol):
    """Turns texts into tokens with offsets, without special tokens, cutting nothing off."""

    word_local: bool
    """True if a slice of a text's ids at word boundaries equals the ids of that slice of text."""
    special_tokens: int
    """How many the model wants around every input."""

    def __call__(self, texts: Sequence[str], /) -> list[Tokens]:
        """Return the tokens of each text."""


@dataclass(frozen=True, slots=True)
class RemoteUse:
    """What a server was asked for."""

    requests: int
    """Retries included."""
    retries: int
    tokens_billed: int
    """As the server said, else as counted here."""
    usd: float | None
    """None where no price is known."""
    paused_seconds: float
    """Waited because the server asked for it."""


@dataclass(frozen=True, slots=True)
class EngineUse:
    """What embedded, and how full its batches were."""

    engine: str
    device: str
    precision: str
    batch_tokens: int
    """Padded tokens that a batch may have."""
    tokens: int
    """Given to the model, special ones and prompts included."""
    padded_tokens: int
    """The same with padding."""
    too_large: int
    """Items for which there was not enough memory even alone."""
    remote: RemoteUse | None = None
    """What a server was asked for; None where the model is here."""

    @property
    def padding(self) -> float:
        """The share of the work that was padding."""
        return 1 - self.tokens / self.padded_tokens if self.padded_tokens else 0.0


@dataclass(frozen=True, slots=True)
class ModelInput:
    """One text as a model reads it, prompt included: by its ids here, by its words elsewhere."""

    text: str
    token_ids: IntArray
    """(tokens,) int32, without special tokens."""
    key: bytes = b""
    """The digest of the cleaned text, where a vector is to be kept under it."""


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The vectors of inputs, and why some have none."""

    vectors: VectorMatrix
    """(n, dim) float32, row i for input i; a row of NaN where there is none."""
    failures: Mapping[int, str]
    """Row → why it has no vector."""


class Embedder(Protocol):
    """Turns texts and queries into vectors of one space; several threads may ask at once."""

    spec: ModelSpec

    @property
    def use(self) -> EngineUse:
        """What embedded so far."""

    def embed_documents(
        self, inputs: Sequence[ModelInput], /, on_batch: Callable[[int], None]
    ) -> Embeddings:
        """Return the vectors of texts, in their order.

        Args:
            inputs: as the model reads them; any number.
            on_batch: told how many inputs were begun, or answered where others embed.
        """

    def embed_query(self, text: str, /) -> Vector:
        """Return (dim,) float32; of a query longer than the model, the mean of its pieces."""

    def count_pieces(self, text: str, /) -> int:
        """Return in how many pieces a query is embedded; 1 if it fits the model."""

    def close(self) -> None:
        """Give up what is under way in other threads, which then fail; it embeds no more."""


class Reranker(Protocol):
    """Reads a query and a text together."""

    def __call__(self, query: str, texts: Sequence[str], /) -> Vector:
        """Return a score for each text, the higher the better: (n,) float32."""


@dataclass(frozen=True, slots=True)
class ListedModel:
    """A known model, and whether it is on this machine."""

    spec: ModelSpec
    folder: Path | None
    """Folder of its files; None if they are not here."""
    bytes: int
    """Size of the weights, 0 if not known."""
    hint: str | None
    """How to get it; None where nothing is missing."""
