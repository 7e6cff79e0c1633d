"""Read and cut: from the plan's files to chunked documents, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from localembed import readers
from localembed.errors import ReadError
from localembed.pipeline.tally import Tally
from localembed.plan import Plan
from localembed.report import show_path
from localembed.sources import Content, read_file
from localembed.types import ChunkedDocument, Document, FileRecord, FileStat, Note, SourceFile

NO_STAT = FileStat(-1, 0, 0, 0)
"""Equals no file's: what carries it is looked at again."""

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


def ingest(
    plan: Plan,
    records: Mapping[bytes, FileRecord],
    chunk: Callable[[Document], ChunkedDocument],
    tally: Tally,
    check: Callable[[], None] = lambda: None,
) -> Iterator[Ingested]:
    """Yield what became of every file of the plan, in the order of the walk.

    Args:
        plan: names the files.
        records: what the manifest remembers, by doc_id.
        chunk: the chunker.
        tally: counts files, bytes and reasons.
        check: called before every file; may raise to give up.
    """
    moved = _by_content(plan.removed)
    for file in plan.to_read:
        check()
        previous = records.get(file.doc_id)
        try:
            with tally.stage("read"):
                content = read_file(file.absolute)
        except ReadError as error:
            yield _failed(file, previous, str(error), tally)
            continue
        tally.bytes += len(content.data)
        if previous is not None and _same_bytes(previous, content):
            yield _refreshed(file, previous, content, tally)
            continue
        yield _read_and_cut(file, previous, content, chunk, moved, tally)


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


def _read_and_cut(
    file: SourceFile,
    previous: FileRecord | None,
    content: Content,
    chunk: Callable[[Document], ChunkedDocument],
    moved: dict[bytes, int],
    tally: Tally,
) -> Ingested:
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
    try:
        with tally.stage("read"):
            text = readers.read_text(content.data)
    except ReadError as error:
        return _failed(file, previous, str(error), tally)
    if isinstance(text, readers.Unreadable):
        return _skipped(file, previous, record, text.reason, tally)
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
    with tally.stage("chunk"):
        chunked = chunk(document)
    if not chunked.chunks:
        return _skipped(file, previous, record, "no text", tally)
    _count(previous, content, moved, tally)
    tally.truncated += chunked.truncated
    record = replace(record, n_chunks=len(chunked.chunks), state="indexed")
    return Ingested("written", file, record, previous, chunked)


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
