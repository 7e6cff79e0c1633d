"""Files, documents and chunks, as they flow from the walk to the table."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from localembed.types.arrays import IntArray, VectorMatrix

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


class DocumentChunker(Protocol):
    """Chunks documents."""

    def __call__(self, documents: Sequence[Document], /) -> list[ChunkedDocument]:
        """Return each document's chunks in order.

        Args:
            documents: one of any length, or several short ones, which take less time together.
        """


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


Cleaner = Callable[[str], str]
"""A pure step from a chunk's text towards what the model sees."""


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
