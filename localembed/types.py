"""The records that flow between the rooms, and the seams between them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from localembed.modelspec import ModelSpec

    IntArray = npt.NDArray[np.int32]
    """(n,) int32."""
    Vector = npt.NDArray[np.float32]
    """(dim,) float32."""
    VectorMatrix = npt.NDArray[np.float32]
    """(n, dim) float32."""

DocumentKind = Literal["text", "markdown", "rst", "code"]
FileState = Literal["indexed", "partial", "skipped", "failed"]
"""partial: it has rows, and some of them have no vector."""


@dataclass(frozen=True, slots=True)
class Root:
    """A folder or file the workspace has been told to index, with its options."""

    root_id: str
    """Drawn once when the root is added; never derived from the path."""
    path: bytes
    """Absolute."""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hidden: bool = False
    no_ignore: bool = False


@dataclass(frozen=True, slots=True)
class FileStat:
    """What a file's inode said; equality is what "unchanged" rests on."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileStat:
        """Return the part of a stat that tells whether a file changed."""
        # Stores count in 64 bits, file systems go on beyond the year 2262.
        mtime, ctime = (
            max(-(2**63), min(time, 2**63 - 1)) for time in (status.st_mtime_ns, status.st_ctime_ns)
        )
        # Most files were changed once, and one number serves for both times.
        return cls(status.st_size, mtime, mtime if ctime == mtime else ctime, status.st_ino)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A regular file that the walk saw and no rule left out."""

    root_id: str
    root_path: bytes
    """One for all files of a root, of which there may be a million."""
    path: bytes
    """Relative to the root; empty when the root is this file."""
    stat: FileStat
    doc_id: bytes

    @property
    def absolute(self) -> bytes:
        """Where it lies."""
        return os.path.join(self.root_path, self.path) if self.path else self.root_path  # noqa: PTH118


@dataclass(frozen=True, slots=True)
class Note:
    """An input that gave no document, and why: skipped by policy, or failed."""

    path: bytes
    """Absolute."""
    reason: str


@dataclass(frozen=True, slots=True)
class Document:
    """One readable unit, decoded: BOM off, line ends as they are."""

    doc_id: bytes
    root_id: str
    path: bytes
    """Relative to the root."""
    text: str
    content_hash: bytes
    kind: DocumentKind
    mtime_ns: int
    display: str = ""
    """The path as valid text, for eyes and full text."""
    record_id: str = ""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A span of a document: `document.text[start:end] == text`, always."""

    chunk_id: bytes
    doc_id: bytes
    chunk_hash: bytes
    """Digest of the cleaned text, which is what the model sees."""
    ord: int
    start: int
    """Characters from the start of the document."""
    end: int
    start_line: int
    """Counted from 1, by line feeds."""
    end_line: int
    heading: str
    """Path of headings above the chunk, joined by " > "."""
    text: str
    token_ids: IntArray
    """(tokens,) int32, the document prompt's included, without the model's special tokens."""
    model_text: str
    """What the model reads: the document prompt, then the cleaned text."""


@dataclass(frozen=True, slots=True)
class ChunkedDocument:
    """A document with its chunks in order."""

    document: Document
    chunks: tuple[Chunk, ...]
    truncated: int
    """Words that the tokenizer gave up on, so that the model never sees them."""


CutDocuments = Callable[[Sequence[Document]], list[ChunkedDocument]]
"""Cuts one document of any length, or several short ones."""


@dataclass(frozen=True, slots=True)
class EmbeddedBatch:
    """Whole documents with their vectors, ready to be written."""

    documents: tuple[ChunkedDocument, ...]
    vectors: VectorMatrix
    """(chunks of all documents in order, dim); a row of NaN is a chunk that failed."""
    failures: Mapping[bytes, str]
    """chunk_id → why it has no vector."""

    @property
    def chunks(self) -> list[Chunk]:
        """All chunks in order; row i of `vectors` belongs to chunk i."""
        return [chunk for entry in self.documents for chunk in entry.chunks]


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

    def embed_query(self, text: str, /, on_pieces: Callable[[int], None]) -> Vector:
        """Return (dim,) float32.

        Args:
            text: of any length.
            on_pieces: told in how many pieces it was embedded; one if it fits the model.
        """

    def close(self) -> None:
        """Give up what is under way in other threads, which then fail; it embeds no more."""


class Reranker(Protocol):
    """Reads a query and a text together."""

    def __call__(self, query: str, texts: Sequence[str], /) -> Vector:
        """Return a score for each text, the higher the better: (n,) float32."""


Cleaner = Callable[[str], str]
"""A pure step from a chunk's text towards what the model sees."""

Event = Callable[[str, int], None]
"""Told of each step that was reached, by name, with a count (see `pipeline.recipe.run`)."""

Notice = Callable[[str], None]
"""Told in a sentence what the user should know."""


def ignore_events(_name: str, _count: int) -> None:
    """Take an event and do nothing."""


def ignore_notice(_text: str) -> None:
    """Take a notice and do nothing."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """What the manifest remembers of one document in one table."""

    doc_id: bytes
    root_id: str
    path: bytes
    stat: FileStat
    observed_ns: int
    """When the file was looked at, taken before it was opened."""
    content_hash: bytes
    n_chunks: int
    """Rows in the table; a failed or skipped document may still have its previous ones."""
    run: int
    state: FileState
    reason: str = ""
