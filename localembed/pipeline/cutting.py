"""Read one file and cut its text into chunks; nothing is counted or written here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from localembed import readers
from localembed.errors import ReadError
from localembed.report import show_path
from localembed.sources import Content, read_file
from localembed.types import ChunkedDocument, Document, FileRecord, SourceFile


@dataclass(frozen=True, slots=True)
class Cut:
    """What one file held."""

    content: Content | None = None
    """Without its bytes, which nobody needs any more; None if they could not be had."""
    size: int = 0
    """How many they were."""
    error: str = ""
    """Why it could not be read or decoded."""
    reason: str = ""
    """Why there is nothing in it to index."""
    unchanged: bool = False
    """The bytes are those that the manifest remembers."""
    chunked: ChunkedDocument | None = None
    read_seconds: float = 0.0
    chunk_seconds: float = 0.0


ChunkDocument = Callable[[Document], ChunkedDocument]


def read_and_cut(file: SourceFile, previous: FileRecord | None, chunk: ChunkDocument) -> Cut:
    """Return what a file held, cut unless it is what the manifest remembers."""
    try:
        return _cut(file, previous, chunk)
    except MemoryError:
        return Cut(error="there is not enough memory for it")


def _cut(file: SourceFile, previous: FileRecord | None, chunk: ChunkDocument) -> Cut:
    begin = time.perf_counter()
    found = Cut()
    try:
        content = read_file(file.absolute)
        found = Cut(replace(content, data=b""), len(content.data))
        if previous is not None and _same_bytes(previous, content):
            return replace(found, unchanged=True, read_seconds=time.perf_counter() - begin)
        text = readers.read_text(content.data)
    except ReadError as error:
        return replace(found, error=str(error), read_seconds=time.perf_counter() - begin)
    found = replace(found, read_seconds=time.perf_counter() - begin)
    if isinstance(text, readers.Unreadable):
        return replace(found, reason=text.reason)
    begin = time.perf_counter()
    chunked = chunk(_document(file, content, text))
    # Windows wait for their turn, and what they need of the text is in the chunks.
    chunked = replace(chunked, document=replace(chunked.document, text=""))
    return replace(
        found,
        reason="" if chunked.chunks else "no text",
        chunked=chunked if chunked.chunks else None,
        chunk_seconds=time.perf_counter() - begin,
    )


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
    )


def _same_bytes(previous: FileRecord, content: Content) -> bool:
    """Tell whether the rows, or the reason for having none, still hold."""
    if previous.content_hash != content.content_hash:
        return False
    return previous.state == "skipped" or previous.n_chunks > 0
