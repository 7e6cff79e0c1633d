"""Read and cut: from the plan's files to chunked documents, one at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from localembed import readers
from localembed.embedding import cores
from localembed.errors import ReadError
from localembed.pipeline.ahead import in_order
from localembed.pipeline.tally import Tally
from localembed.plan import Plan
from localembed.report import show_path
from localembed.sources import Content, read_file
from localembed.types import ChunkedDocument, Document, FileRecord, FileStat, Note, SourceFile

NO_STAT = FileStat(-1, 0, 0, 0)
"""Equals no file's: what carries it is looked at again."""

_MOST_THREADS = 4
_MOST_BYTES = 8 << 20
"""Of files that are read and cut ahead of their turn."""

Outcome = Literal["written", "refreshed", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of one file; `record` is true once it is committed."""

    outcome: Outcome
    file: SourceFile
    record: FileRecord
    previous: FileRecord | None
    chunked: ChunkedDocument | None = None

    @property
    def leaves_rows(self) -> bool:
        """Whether rows of an earlier run must go although none are written."""
        had_rows = self.previous is not None and self.previous.n_chunks > 0
        return self.outcome == "skipped" and had_rows


@dataclass(frozen=True, slots=True)
class _Cut:
    """What one file held; nothing was counted yet."""

    content: Content | None
    error: str = ""
    """Why it could not be read or decoded."""
    reason: str = ""
    """Why there is nothing in it to index."""
    unchanged: bool = False
    """The bytes are those that the manifest remembers."""
    chunked: ChunkedDocument | None = None
    read_seconds: float = 0.0
    chunk_seconds: float = 0.0


def ingest(
    plan: Plan,
    records: Mapping[bytes, FileRecord],
    chunk: Callable[[Document], ChunkedDocument],
    tally: Tally,
    check: Callable[[], None] = lambda: None,
) -> Iterator[Ingested]:
    """Yield what became of every file of the plan, in the order of the walk.

    Files are read and cut in a few threads: the tokenizer runs outside of Python's lock, and what
    is inside goes on meanwhile.

    Args:
        plan: names the files.
        records: what the manifest remembers, by doc_id.
        chunk: the chunker.
        tally: counts files, bytes and reasons.
        check: called before every file; may raise to give up.
    """
    moved = _by_content(plan.removed)
    threads = min(_MOST_THREADS, cores())

    def cut(file: SourceFile) -> _Cut:
        check()
        try:
            return _read_and_cut(file, records.get(file.doc_id), chunk)
        except MemoryError:
            return _Cut(None, error="there is not enough memory for it")

    cuts = in_order(
        cut, plan.to_read, threads=threads, weight=lambda file: file.stat.size, most=_MOST_BYTES
    )
    for file, found in zip(plan.to_read, cuts, strict=True):
        tally.stages["read"] += found.read_seconds / threads
        tally.stages["chunk"] += found.chunk_seconds / threads
        yield _counted(file, records.get(file.doc_id), found, moved, tally)


def _read_and_cut(
    file: SourceFile, previous: FileRecord | None, chunk: Callable[[Document], ChunkedDocument]
) -> _Cut:
    """Read a file and cut its text, unless the manifest knows its bytes."""
    begin = time.perf_counter()
    content = None
    try:
        content = read_file(file.absolute)
        if previous is not None and _same_bytes(previous, content):
            return _Cut(content, unchanged=True, read_seconds=time.perf_counter() - begin)
        text = readers.read_text(content.data)
    except ReadError as error:
        return _Cut(content, error=str(error), read_seconds=time.perf_counter() - begin)
    if isinstance(text, readers.Unreadable):
        return _Cut(content, reason=text.reason, read_seconds=time.perf_counter() - begin)
    document = Document(
        doc_id=file.doc_id,
        root_id=file.root_id,
        path=file.path,
        text=text,
        content_hash=content.content_hash,
        kind=readers.document_kind(file.path or file.absolute),
        mtime_ns=content.stat.mtime_ns,
        display=show_path(file.path or file.absolute.rpartition(b"/")[2]),
    )
    middle = time.perf_counter()
    chunked = chunk(document)
    # Windows wait for their turn, and what they need of the text is in the chunks.
    chunked = replace(chunked, document=replace(document, text=""))
    return _Cut(
        content,
        reason="" if chunked.chunks else "no text",
        chunked=chunked if chunked.chunks else None,
        read_seconds=middle - begin,
        chunk_seconds=time.perf_counter() - middle,
    )


def _counted(
    file: SourceFile,
    previous: FileRecord | None,
    found: _Cut,
    moved: dict[bytes, int],
    tally: Tally,
) -> Ingested:
    """Count what a file held, and return what becomes of it."""
    content = found.content
    if content is not None:
        tally.bytes += len(content.data)
    if content is None or found.error:
        return _failed(file, previous, found.error, tally)
    if previous is not None and found.unchanged:
        return _refreshed(file, previous, content, tally)
    record = FileRecord(
        doc_id=file.doc_id,
        root_id=file.root_id,
        path=file.path,
        stat=content.stat,
        observed_ns=content.observed_ns,
        content_hash=content.content_hash,
        n_chunks=0,
        run=0,
        state="skipped",
    )
    if found.chunked is None:
        return _skipped(file, previous, record, found.reason, tally)
    _count(previous, content, moved, tally)
    tally.truncated += found.chunked.truncated
    record = replace(record, n_chunks=len(found.chunked.chunks), state="indexed")
    return Ingested("written", file, record, previous, found.chunked)


def _by_content(removed: tuple[FileRecord, ...]) -> dict[bytes, int]:
    """Count the documents that are gone by their content: a new equal one was renamed."""
    counts: dict[bytes, int] = {}
    for record in removed:
        if record.n_chunks:
            counts[record.content_hash] = counts.get(record.content_hash, 0) + 1
    return counts


def _same_bytes(previous: FileRecord, content: Content) -> bool:
    """Tell whether the rows, or the reason for having none, still hold."""
    if previous.content_hash != content.content_hash:
        return False
    return previous.state == "skipped" or previous.n_chunks > 0


def _refreshed(file: SourceFile, previous: FileRecord, content: Content, tally: Tally) -> Ingested:
    record = replace(previous, stat=content.stat, observed_ns=content.observed_ns)
    if previous.state == "skipped":
        tally.skipped.append(Note(file.absolute, previous.reason))
    else:
        tally.unchanged += 1
        if previous.state != "partial":
            record = replace(record, state="indexed", reason="")
    return Ingested("refreshed", file, record, previous)


def _failed(file: SourceFile, previous: FileRecord | None, reason: str, tally: Tally) -> Ingested:
    """Keep what is known and stored of a file that could not be read this time."""
    tally.failures.append(Note(file.absolute, reason))
    record = FileRecord(
        doc_id=file.doc_id,
        root_id=file.root_id,
        path=file.path,
        stat=NO_STAT,
        observed_ns=0,
        content_hash=previous.content_hash if previous else b"",
        n_chunks=previous.n_chunks if previous else 0,
        run=previous.run if previous else 0,
        state="failed",
        reason=reason,
    )
    return Ingested("failed", file, record, previous)


def _skipped(
    file: SourceFile, previous: FileRecord | None, record: FileRecord, reason: str, tally: Tally
) -> Ingested:
    tally.skipped.append(Note(file.absolute, reason))
    return Ingested("skipped", file, replace(record, reason=reason), previous)


def _count(
    previous: FileRecord | None, content: Content, moved: dict[bytes, int], tally: Tally
) -> None:
    """Count a file with new text as changed, renamed or added."""
    if previous is not None and previous.n_chunks > 0:
        tally.changed += 1
    elif moved.get(content.content_hash, 0) > 0:
        moved[content.content_hash] -= 1
        tally.renamed += 1
        tally.removed -= 1
    else:
        tally.added += 1
