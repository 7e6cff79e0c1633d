"""Files, documents and chunks, on their way from the walk to the table."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from localembed.types.arrays import IntArray, VectorMatrix

DocumentKind = Literal["text", "markdown", "rst", "code"]
READABLE = 0.5
"""Minimum share of known tokens from which a vector says something about its text."""
FileState = Literal["indexed", "partial", "skipped", "failed"]
"""State of a file; a partial one has rows, some of them without a vector."""

NOISE_RULES = 1
"""Version of the rules in `readers.noise`: increase it when they change, so that the next run reads
all files once more and judges them again."""


@dataclass(frozen=True, slots=True)
class Root:
    """A folder or file that the workspace indexes, with its options."""

    root_id: str
    """Random id, chosen when the root is added; never derived from the path."""
    path: bytes
    """Absolute path."""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hidden: bool = False
    no_ignore: bool = False
    removed: frozenset[bytes] = frozenset()
    """Paths relative to the root that `rm` took out, with everything below them."""
    elsewhere: bool = False
    """Whether `path` is a folder of another machine, so that nothing is read from it."""


@dataclass(frozen=True, slots=True)
class FileStat:
    """The parts of a file's stat that show whether it changed."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileStat:
        """Return the part of a stat that tells whether a file changed."""
        # Stores hold 64 bits of nanoseconds; file systems allow times after the year 2262.
        mtime, ctime = (
            max(-(2**63), min(time, 2**63 - 1)) for time in (status.st_mtime_ns, status.st_ctime_ns)
        )
        # Both times are equal for most files; sharing one int saves memory.
        return cls(status.st_size, mtime, mtime if ctime == mtime else ctime, status.st_ino)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A regular file that the walk found and no rule excluded."""

    root_id: str
    root_path: bytes
    """Absolute path of the root, one object shared by all of its files (there may be a million)."""
    path: bytes
    """Path relative to the root; empty if the root is this file."""
    stat: FileStat
    doc_id: bytes
    root_identity: tuple[int, int] | None = None
    """Device and inode of the root as it was walked, one object for all; None if it is the file."""
    skips_noise: bool = False
    """Whether it is skipped if its content is noise or a secret."""

    @property
    def noise_rules(self) -> int:
        """Version of the rules for its content; 0 if it is taken as it is."""
        return NOISE_RULES if self.skips_noise else 0

    @property
    def absolute(self) -> bytes:
        """Absolute path."""
        return os.path.join(self.root_path, self.path) if self.path else self.root_path  # noqa: PTH118


@dataclass(frozen=True, slots=True)
class Note:
    """An input that was skipped by a rule or failed, and why."""

    path: bytes
    """Absolute path; a folder's ends in a slash."""
    reason: str
    """Category of the reason, and what it is in parentheses if that is not all."""

    @property
    def category(self) -> str:
        """Category of the reason."""
        return self.reason.partition(" (")[0]


DEFAULT_CATEGORIES = frozenset({"generated", "data", "secret"})
"""Categories of what is skipped by default as noise or a secret, which `no_ignore` takes in."""


@dataclass(frozen=True, slots=True)
class EncodingNote:
    """A file whose encoding was guessed, or that has bytes which its encoding does not allow."""

    path: bytes
    """Absolute path."""
    encoding: str
    """Encoding that it was read in, by Python's name."""
    guessed: bool
    """Whether the encoding was guessed: the file has no BOM and is not UTF-8."""
    bad_bytes: int
    """Number of invalid bytes, which U+FFFD replaces, and of NULs at the end, which are dropped."""


@dataclass(frozen=True, slots=True)
class Document:
    """One decoded unit of text, without a BOM and with its line ends as they are."""

    doc_id: bytes
    root_id: str
    path: bytes
    """Path relative to the root."""
    text: str
    content_hash: bytes
    kind: DocumentKind
    mtime_ns: int
    display: str = ""
    """The path as valid Unicode, for display and full-text search."""
    record_id: str = ""
    language: str = ""
    """Programming language of code, as `readers.code_language` names it."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A span of a document: `document.text[start:end] == text`, always."""

    chunk_id: bytes
    doc_id: bytes
    chunk_hash: bytes
    """Digest of the cleaned text, which is what the model sees."""
    ord: int
    start: int
    """Offset in the document, in characters."""
    end: int
    start_line: int
    """Line number from 1, counted by line feeds."""
    end_line: int
    heading: str
    """Path of headings above the chunk, joined by " > "."""
    text: str
    token_ids: IntArray
    """(tokens,) int32, including the document prompt, without the model's special tokens."""
    model_text: str
    """Input of the model: the document prompt, then the cleaned text."""
    readable: float = 1.0
    """Share of its tokens that the model knows, 0 to 1."""


@dataclass(frozen=True, slots=True)
class ChunkedDocument:
    """A document with its chunks in order."""

    document: Document
    chunks: tuple[Chunk, ...]
    truncated: int
    """Number of words that the tokenizer gave up on, so that the model never sees them."""


class DocumentChunker(Protocol):
    """Chunks documents."""

    def __call__(self, documents: Sequence[Document], /) -> list[ChunkedDocument]:
        """Return each document's chunks in order.

        Args:
            documents: one of any length, or several short ones, which take less time as one batch.
        """


@dataclass(frozen=True, slots=True)
class EmbeddedBatch:
    """Whole documents with their vectors, ready to be written."""

    documents: tuple[ChunkedDocument, ...]
    vectors: VectorMatrix
    """(chunks of all documents in order, dim); the row of a failed chunk is NaN."""
    failures: Mapping[bytes, str]
    """chunk_id → reason why it has no vector."""

    @property
    def chunks(self) -> list[Chunk]:
        """All chunks in order; row i of `vectors` belongs to chunk i."""
        return [chunk for entry in self.documents for chunk in entry.chunks]


Cleaner = Callable[[str], str]
"""A pure step that cleans a chunk's text for the model."""


@dataclass(frozen=True, slots=True)
class FileRecord:
    """The manifest's record of one document in one table."""

    doc_id: bytes
    root_id: str
    path: bytes
    stat: FileStat
    observed_ns: int
    """Time of the stat, taken before the file was opened, in nanoseconds."""
    content_hash: bytes
    n_chunks: int
    """Number of rows in the table; a failed or skipped document may still have its old ones."""
    run: int
    state: FileState
    reason: str = ""
    noise_rules: int = 0
    """Version of the rules by which its content was found to be noise or not; 0 if unchecked."""


@dataclass(frozen=True, slots=True)
class MissingFile:
    """A file that a run found missing."""

    root_id: str
    path: bytes
    """Path relative to the root."""
    known: int
    """Files of the root when the deletions began."""
    at_ns: int
    """Time at which it was first found missing, in nanoseconds since 1970."""
    refused: bool
    """Whether the run refused to remove it."""
