"""Decide which files a run must read: compare stats with the manifest, without opening files.

A file is unchanged if size, times and inode are those of its last reading, and if it was old enough
then that a later change could not hide in the same tick of the clock (git's racy rule).
Deletion is part of the plan, never a side effect: only files that a complete walk did not find.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from localembed.core.text import show_path
from localembed.types.documents import FileRecord, FileStat, Note, Root, SourceFile

_TICK_NS = 10_000_000
_COARSE_TICK_NS = 2_000_000_000
_SECOND_NS = 1_000_000_000
_GUARD_FILES = 20


class Walked(Protocol):
    """The part of a walk that the plan needs (see `sources.Walk`)."""

    @property
    def root(self) -> Root:
        """Root that was walked."""

    @property
    def scope(self) -> bytes:
        """Part of the root that was walked, relative to it."""

    @property
    def missing(self) -> bool:
        """Whether the scope could not be listed at all."""

    @property
    def files(self) -> Sequence[SourceFile]:
        """Files that were found."""

    @property
    def skipped(self) -> Sequence[Note]:
        """Inputs that a rule excluded."""

    @property
    def failures(self) -> Sequence[Note]:
        """Inputs that could not be listed or examined."""

    def covers(self, path: bytes) -> bool:
        """Tell whether the walk would have found a file with this path."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a run, made before any file is opened."""

    added: tuple[SourceFile, ...]
    """Files without a record; some turn out to be renamed once they are read."""
    changed: tuple[SourceFile, ...]
    """Files whose stat differs or proves nothing; some turn out to have equal bytes."""
    removed: tuple[FileRecord, ...]
    unchanged: int
    skipped: tuple[Note, ...]
    failures: tuple[Note, ...]
    refused: tuple[str, ...]
    """Roots that seem to be missing, one sentence each."""

    @property
    def to_read(self) -> tuple[SourceFile, ...]:
        """All files to open."""
        return self.added + self.changed

    @property
    def size(self) -> int:
        """Total bytes of these files, by their stats."""
        return sum(file.stat.size for file in self.to_read)


def make_plan(
    walks: Sequence[Walked],
    records: Mapping[bytes, FileRecord],
    *,
    verify: bool = False,
    allow_mass_delete: bool = False,
) -> Plan:
    """Compare the walks with the manifest.

    Args:
        walks: one per scope.
        records: doc_id → the manifest's record, for all roots.
        verify: trust no stat; read everything.
        allow_mass_delete: remove files even if a whole root seems to be missing.
    """
    added: list[SourceFile] = []
    changed: list[SourceFile] = []
    removed: list[FileRecord] = []
    skipped: list[Note] = []
    failures: list[Note] = []
    refused: list[str] = []
    unchanged = 0
    by_root = _by_root(records.values())
    for walk in walks:
        recorded = [r for r in by_root.get(walk.root.root_id, ()) if walk.covers(r.path)]
        gone = _gone(walk.files, recorded)
        sentence = None if allow_mass_delete else _looks_gone(walk, recorded, gone)
        if sentence is not None:
            refused.append(sentence)
        else:
            removed += gone
        skipped += walk.skipped
        failures += walk.failures
        for file in walk.files:
            record = records.get(file.doc_id)
            if record is None:
                added.append(file)
            elif verify or not _proves_unchanged(record, file.stat):
                changed.append(file)
            elif record.state == "skipped":
                skipped.append(Note(file.absolute, record.reason))
            else:
                unchanged += 1
    return Plan(
        added=tuple(added),
        changed=tuple(changed),
        removed=tuple(removed),
        unchanged=unchanged,
        skipped=tuple(skipped),
        failures=tuple(failures),
        refused=tuple(refused),
    )


def _by_root(records: Iterable[FileRecord]) -> dict[str, list[FileRecord]]:
    grouped: dict[str, list[FileRecord]] = {}
    for record in records:
        grouped.setdefault(record.root_id, []).append(record)
    return grouped


def _gone(files: Sequence[SourceFile], recorded: Sequence[FileRecord]) -> list[FileRecord]:
    seen = {file.doc_id for file in files}
    return [record for record in recorded if record.doc_id not in seen]


def _proves_unchanged(record: FileRecord, now: FileStat) -> bool:
    """Tell whether the stat proves equal bytes; a failed file is always retried."""
    if record.state == "failed" or record.stat != now:
        return False
    # A file system with whole seconds (FAT, old network mounts) cannot distinguish two changes
    # within one second. Files from an archive have whole mtimes too, but not ctimes.
    whole_seconds = now.mtime_ns % _SECOND_NS == 0 and now.ctime_ns % _SECOND_NS == 0
    tick = _COARSE_TICK_NS if whole_seconds else _TICK_NS
    return max(now.mtime_ns, now.ctime_ns) < record.observed_ns - tick


def _looks_gone(
    walk: Walked, recorded: Sequence[FileRecord], gone: Sequence[FileRecord]
) -> str | None:
    """Return a sentence if removing these records is probably a mistake, else None."""
    where = show_path(walk.root.path)
    hint = (
        "None of its files was removed from the index. If they should be, run the same command "
        "with --allow-mass-delete, or remove the root with: localembed rm"
    )
    if walk.missing:
        return f"{where} is missing or cannot be listed. {hint} {where}"
    if recorded and not walk.files and not walk.scope:
        return f"{where} is suddenly empty ({_files(len(recorded))} before). {hint} {where}"
    lost = _not_moved(gone, walk.files, recorded)
    if lost >= _GUARD_FILES and 2 * lost > len(recorded):
        return f"{where} has lost {lost} of {len(recorded)} files. {hint} {where}"
    return None


def _not_moved(
    gone: Sequence[FileRecord], files: Sequence[SourceFile], recorded: Sequence[FileRecord]
) -> int:
    """Count the files that are gone and have no new file with the same size and mtime."""
    known_ids = {record.doc_id for record in recorded}
    fresh = Counter((f.stat.size, f.stat.mtime_ns) for f in files if f.doc_id not in known_ids)
    here = Counter((record.stat.size, record.stat.mtime_ns) for record in gone)
    return (here - fresh).total()


def _files(number: int) -> str:
    return "1 file" if number == 1 else f"{number} files"
