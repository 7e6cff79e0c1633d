"""Turn the plan's files into chunked documents with records, and count them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Literal, TypeVar

from localembed.pipeline.counters import RunCounters
from localembed.pipeline.ordered_pool import in_order
from localembed.pipeline.plan import Plan
from localembed.sources import Content
from localembed.types.documents import (
    DEFAULT_CATEGORIES,
    ChunkedDocument,
    FileRecord,
    FileStat,
    Note,
    SourceFile,
)

if TYPE_CHECKING:
    from localembed.pipeline.chunk_workers import ChunkWorkers
    from localembed.pipeline.read_and_chunk import ChunkedFile

NO_STAT = FileStat(-1, 0, 0, 0)
"""A stat that equals no file's, so that the file is read again."""

_MAX_BYTES = 8 << 20
"""Maximum bytes of files that are read and chunked ahead."""
_MIN_BYTES = 1 << 10
"""Minimum bytes that a file counts for: an empty one takes time as well."""
_GROUP_BYTES = 64 << 10
"""Bytes of small files that are chunked together: a quarter faster than one after another, and each
reply of a worker process waits for Python's lock, up to 5 ms."""

T = TypeVar("T")

Outcome = Literal["written", "refreshed", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class Ingested:
    """The outcome of one file; `record` is valid once it is committed."""

    outcome: Outcome
    file: SourceFile
    record: FileRecord
    previous: FileRecord | None
    chunked: ChunkedDocument | None = None

    @property
    def leaves_rows(self) -> bool:
        """Whether rows of an earlier run must be deleted although none are written."""
        had_rows = self.previous is not None and self.previous.n_chunks > 0
        return self.outcome == "skipped" and had_rows


def ingest(
    plan: Plan,
    records: Mapping[bytes, FileRecord],
    workers: ChunkWorkers,
    counters: RunCounters,
) -> Iterator[Ingested]:
    """Yield the outcome of every file of the plan, in the order of the walk.

    Args:
        plan: the files to read.
        records: doc_id → the manifest's record.
        workers: read and chunk the files.
        counters: count files, bytes and reasons.
    """
    moved = _by_content(plan.removed)
    groups = in_groups((_bytes(file), file) for file in plan.to_read)
    results = in_order(
        workers.chunk,
        ((size, [(file, records.get(file.doc_id)) for file in group]) for size, group in groups),
        threads=workers.at_once,
        max_weight=_MAX_BYTES,
    )
    for file, found in zip(plan.to_read, chain.from_iterable(results), strict=True):
        counters.add_seconds("read", found.read_seconds / workers.at_once)
        counters.add_seconds("chunk", found.chunk_seconds / workers.at_once)
        yield _counted(file, records.get(file.doc_id), found, moved, counters)


def in_groups(items: Iterable[tuple[int, T]]) -> Iterator[tuple[int, list[T]]]:
    """Yield groups of small items, or a large one alone, each with its total bytes.

    Args:
        items: each with its bytes.
    """
    group: list[T] = []
    total = 0
    for size, item in items:
        if group and total + size > _GROUP_BYTES:
            yield total, group
            group, total = [], 0
        group.append(item)
        total += size
    if group:
        yield total, group


def _bytes(file: SourceFile) -> int:
    return max(_MIN_BYTES, file.stat.size)


def _counted(
    file: SourceFile,
    previous: FileRecord | None,
    found: ChunkedFile,
    moved: dict[bytes, int],
    counters: RunCounters,
) -> Ingested:
    """Count a file, and return its outcome."""
    content = found.content
    if content is not None:
        counters.add("bytes", found.size)
    if content is None or found.error:
        return _failed(file, previous, found.error, counters)
    if previous is not None and found.unchanged:
        return _refreshed(file, previous, content, counters)
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
        noise_rules=file.noise_rules,
    )
    if found.chunked is None:
        return _skipped(file, previous, record, found.reason, counters)
    _count(previous, content, moved, counters)
    counters.add("truncated", found.chunked.truncated)
    if found.encoding is not None:
        counters.note_encoding(found.encoding)
    record = replace(record, n_chunks=len(found.chunked.chunks), state="indexed")
    return Ingested("written", file, record, previous, found.chunked)


def _by_content(removed: tuple[FileRecord, ...]) -> dict[bytes, int]:
    """Count removed documents by content: a new file with equal content was renamed."""
    counts: dict[bytes, int] = {}
    for record in removed:
        if record.n_chunks:
            counts[record.content_hash] = counts.get(record.content_hash, 0) + 1
    return counts


def _refreshed(
    file: SourceFile, previous: FileRecord, content: Content, counters: RunCounters
) -> Ingested:
    record = replace(
        previous,
        stat=content.stat,
        observed_ns=content.observed_ns,
        noise_rules=file.noise_rules,
    )
    if previous.state == "skipped":
        counters.skip(Note(file.absolute, previous.reason))
    else:
        counters.add("unchanged")
        if previous.state != "partial":
            record = replace(record, state="indexed", reason="")
    return Ingested("refreshed", file, record, previous)


def _failed(
    file: SourceFile, previous: FileRecord | None, reason: str, counters: RunCounters
) -> Ingested:
    """Keep the record and rows of a file that could not be read this time."""
    counters.fail(Note(file.absolute, reason))
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
    file: SourceFile,
    previous: FileRecord | None,
    record: FileRecord,
    reason: str,
    counters: RunCounters,
) -> Ingested:
    note = Note(file.absolute, reason)
    had_rows = previous is not None and previous.n_chunks > 0
    counters.skip(note, left_out=had_rows and note.category in DEFAULT_CATEGORIES)
    return Ingested("skipped", file, replace(record, reason=reason), previous)


def _count(
    previous: FileRecord | None, content: Content, moved: dict[bytes, int], counters: RunCounters
) -> None:
    """Count a file with new text as changed, renamed or added."""
    if previous is not None and previous.n_chunks > 0:
        counters.add("changed")
    elif moved.get(content.content_hash, 0) > 0:
        moved[content.content_hash] -= 1
        counters.add("renamed")
        counters.add("removed", -1)
    else:
        counters.add("added")
