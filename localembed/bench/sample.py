"""Samples to benchmark with: chunks of the user's files, or synthetic ids of any length."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import TYPE_CHECKING

import numpy as np

from localembed import readers
from localembed.errors import ReadError, UsageError
from localembed.sources import WalkRules, read_file, walk
from localembed.types.documents import Document, DocumentChunker, Root, SourceFile
from localembed.types.models import Tokenizer

if TYPE_CHECKING:
    from localembed.types.arrays import IntArray

_SEED = 17
_MIN_BYTES = 32


@dataclass(frozen=True, slots=True)
class Sample:
    """Token ids of texts, without special tokens, in an order unrelated to their length."""

    name: str
    ids: tuple[IntArray, ...]

    @property
    def mean_tokens(self) -> float:
        """Mean tokens per text, without special tokens."""
        return float(np.mean([len(item) for item in self.ids]))

    def with_length(self, length: int) -> Sample:
        """Return the same ids as texts of `length` tokens each."""
        every = np.concatenate(self.ids)
        repeats = -(-length * len(self.ids) // len(every))
        whole = np.tile(every, repeats)[: length * len(self.ids)]
        return Sample(f"{self.name}, {length} tokens", tuple(whole.reshape(-1, length)))


def synthetic(count: int, length: int, tokenizer: Tokenizer) -> Sample:
    """Return the ids of made-up words, which take as long to embed as real ones."""
    rng = random.Random(_SEED)
    words = ["".join(rng.choices(ascii_lowercase, k=rng.randint(2, 8))) for _ in range(2000)]
    tokens = tokenizer([" ".join(rng.choices(words, k=max(1, length)))] * 8)
    every = Sample("made-up words", tuple(item.ids for item in tokens))
    repeated = Sample(every.name, every.ids * (-(-count // len(every.ids))))
    return Sample(every.name, repeated.with_length(length).ids[:count])


def sample_files(roots: Sequence[tuple[Root, bytes]], rules: WalkRules) -> list[SourceFile]:
    """Return the files below roots in a random but repeatable order.

    Raises:
        UsageError: there are no files.
    """
    files = [file for root, scope in roots for file in walk(root, rules, scope).files]
    if not files:
        message = "There are no files to measure with. Name a folder, or use: --synthetic"
        raise UsageError(message)
    files.sort(key=lambda file: file.absolute)
    random.Random(_SEED).shuffle(files)
    return files


def read_documents(files: Iterable[SourceFile]) -> Iterable[tuple[Document, bytes]]:
    """Yield the files that can be read, each with its bytes; skip those that cannot."""
    for file in files:
        try:
            content = read_file(file.root_path, file.path, file.root_identity)
            read = readers.read_text(content.data)
        except ReadError:
            continue
        if isinstance(read, readers.Unreadable) or len(content.data) < _MIN_BYTES:
            continue
        name = file.path or file.absolute
        yield (
            Document(
                doc_id=file.doc_id,
                root_id=file.root_id,
                path=file.path,
                text=read.text,
                content_hash=content.content_hash,
                kind=readers.document_kind(name),
                mtime_ns=0,
                language=readers.code_language(name),
            ),
            content.data,
        )


def from_files(files: Sequence[SourceFile], chunker: DocumentChunker, count: int) -> Sample:
    """Return about `count` chunks from as many files as it takes, at most a fifth from one.

    Raises:
        UsageError: no file contains text.
    """
    ids: list[IntArray] = []
    rng = random.Random(_SEED)
    for document, _ in read_documents(files):
        found = [item.token_ids for item in chunker([document])[0].chunks]
        rng.shuffle(found)
        ids += found[: max(1, count // 5)]
        if len(ids) >= count:
            break
    if not ids:
        message = "No file contains text to measure with. Name another folder, or use: --synthetic"
        raise UsageError(message)
    rng.shuffle(ids)
    return Sample("your files", tuple(ids[:count]))
