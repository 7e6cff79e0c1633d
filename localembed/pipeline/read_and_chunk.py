"""Read files and chunk their texts; nothing is counted or written here."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from localembed import readers
from localembed.core.text import show_path
from localembed.errors import ReadError, TextRefusedError
from localembed.sources import Content, read_file
from localembed.types.documents import (
    ChunkedDocument,
    Document,
    DocumentChunker,
    EncodingNote,
    FileRecord,
    SourceFile,
)


@dataclass(frozen=True, slots=True)
class ChunkedFile:
    """The content and chunks of one file."""

    content: Content | None = None
    """Content without its bytes, which are not needed any more; None if it could not be read."""
    size: int = 0
    """Size of the file in bytes."""
    error: str = ""
    """Reason why the file could not be read or decoded."""
    reason: str = ""
    """Reason why there is nothing to index in it."""
    unchanged: bool = False
    """Whether the content is the one in the manifest."""
    encoding: EncodingNote | None = None
    """Encoding that was guessed or has invalid bytes; None for plain Unicode."""
    chunked: ChunkedDocument | None = None
    read_seconds: float = 0.0
    chunk_seconds: float = 0.0


KnownFile = tuple[SourceFile, FileRecord | None]
"""A file to read, with its record in the manifest."""


def read_and_chunk(files: Sequence[KnownFile], chunker: DocumentChunker) -> list[ChunkedFile]:
    """Return each file's content, chunked unless the manifest has the same.

    Args:
        files: one, or several small ones.
        chunker: chunks the documents of all of them together.
    """
    try:
        return _chunk([_read(*file) for file in files], chunker)
    except MemoryError:
        if len(files) == 1:
            return [ChunkedFile(error="not enough memory to read and chunk it")]
    except TextRefusedError as error:
        if len(files) == 1:
            return [ChunkedFile(error=str(error))]
    return [chunked for file in files for chunked in read_and_chunk([file], chunker)]


def _read(file: SourceFile, previous: FileRecord | None) -> tuple[ChunkedFile, Document | None]:
    """Return a file's content, and its document if there is anything to chunk."""
    begin = time.perf_counter()
    found, document = ChunkedFile(), None
    try:
        content = read_file(file.root_path, file.path, file.root_identity)
        found = ChunkedFile(replace(content, data=b""), len(content.data))
        if _is_known(file, previous, content):
            found = replace(found, unchanged=True)
        elif isinstance(read := readers.read_text(content.data), readers.Unreadable):
            found = replace(found, reason=read.reason)
        elif reason := _noise_reason(file, read.text):
            found = replace(found, reason=reason)
        elif _has_rows(previous, content):
            found = replace(found, unchanged=True)
        else:
            document = _document(file, content, read.text)
            found = replace(found, encoding=_encoding_note(file, read))
    except ReadError as error:
        found = replace(found, error=str(error))
    return replace(found, read_seconds=time.perf_counter() - begin), document


def _chunk(
    read: Sequence[tuple[ChunkedFile, Document | None]], chunker: DocumentChunker
) -> list[ChunkedFile]:
    """Chunk the documents that were read."""
    begin = time.perf_counter()
    documents = [document for _, document in read if document is not None]
    chunked = iter(chunker(documents) if documents else ())
    seconds = (time.perf_counter() - begin) / max(1, len(documents))
    return [
        found if document is None else _with_chunks(found, next(chunked), seconds)
        for found, document in read
    ]


def _with_chunks(found: ChunkedFile, chunked: ChunkedDocument, seconds: float) -> ChunkedFile:
    if not chunked.chunks:
        return replace(found, reason="no text", chunk_seconds=seconds)
    # The document may wait for its window; the chunks hold all of the text that is needed.
    chunked = replace(chunked, document=replace(chunked.document, text=""))
    return replace(found, chunked=chunked, chunk_seconds=seconds)


def _document(file: SourceFile, content: Content, text: str) -> Document:
    return Document(
        doc_id=file.doc_id,
        root_id=file.root_id,
        path=file.path,
        text=text,
        content_hash=content.content_hash,
        kind=readers.document_kind(file.path or file.absolute),
        mtime_ns=content.stat.mtime_ns,
        display=show_path(file.path or file.absolute.rpartition(b"/")[2]),
        language=readers.code_language(file.path or file.absolute),
    )


def _encoding_note(file: SourceFile, read: readers.DecodedText) -> EncodingNote | None:
    if not read.guessed and not read.bad_bytes:
        return None
    return EncodingNote(file.absolute, read.encoding, read.guessed, read.bad_bytes)


def _noise_reason(file: SourceFile, text: str) -> str | None:
    if not file.skips_noise:
        return None
    return readers.noise_reason(file.path, text)


def _is_known(file: SourceFile, previous: FileRecord | None, content: Content) -> bool:
    """Tell whether the manifest's rows, or its reason for having none, are still valid."""
    if previous is None or previous.content_hash != content.content_hash:
        return False
    judged = previous.noise_rules == file.noise_rules
    return judged and (previous.state == "skipped" or previous.n_chunks > 0)


def _has_rows(previous: FileRecord | None, content: Content) -> bool:
    """Tell whether there are rows of the same bytes."""
    if previous is None or previous.content_hash != content.content_hash:
        return False
    return previous.n_chunks > 0 and previous.state != "skipped"
