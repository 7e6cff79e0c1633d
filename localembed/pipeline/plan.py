"""Decide which files a run must read: compare stats with the manifest, without opening files.

A file is unchanged if size, times and inode are those of its last reading, and if it was old enough
then that a later change could not hide in the same tick of the clock (git's racy rule).
Deletion is part of the plan, never a side effect: only files that a complete walk did not find.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from localembed.pipeline import deletion_guard
from localembed.types.documents import FileRecord, MissingFile, Note, SourceFile

_TICK_NS = 10_000_000
_COARSE_TICK_NS = 2_000_000_000
_SECOND_NS = 1_000_000_000
_NONE_MISSING: Mapping[bytes, MissingFile] = {}


class Walked(deletion_guard.Walked, Protocol):
    """The part of a walk that the plan needs (see `sources.Walk`)."""

    @property
    def failures(self) -> Sequence[Note]:
        """Inputs that could not be listed or examined."""


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
    """Roots whose deletions are refused, one sentence each."""
    missing: Mapping[bytes, MissingFile] = field(default_factory=dict)
    """Files to remember as missing, by doc_id (see `deletion_guard`)."""
    left_out: tuple[Note, ...] = ()
    """Removed files that are still there, and that the default rules skip now."""

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
    missing: Mapping[bytes, MissingFile] = _NONE_MISSING,
    now_ns: int = 0,
    verify: bool = False,
    allow_mass_delete: bool = False,
) -> Plan:
    """Compare the walks with the manifest.

    Args:
        walks: one per scope.
        records: doc_id → the manifest's record, for all roots.
        missing: doc_id → a file that earlier runs found missing, for all roots.
        now_ns: the current time.
        verify: trust no stat; read everything.
        allow_mass_delete: remove files even if a whole root seems to be missing.
    """
    added: list[SourceFile] = []
    changed: list[SourceFile] = []
    removed: list[FileRecord] = []
    skipped: list[Note] = []
    failures: list[Note] = []
    refused: list[str] = []
    left_out: list[Note] = []
    unchanged = 0
    by_root = _by_root(records.values())
    for walk in walks:
        known = by_root.get(walk.root.root_id, ())
        verdict = deletion_guard.judge(walk, known, missing, now_ns, allowed=allow_mass_delete)
        removed += verdict.removed
        refused += [verdict.refused] if verdict.refused else []
        missing = verdict.missing
        left_out += verdict.left_out
        skipped += walk.skipped
        failures += walk.failures
        for file in walk.files:
            record = records.get(file.doc_id)
            if record is None:
                added.append(file)
            elif verify or not _proves_unchanged(record, file):
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
        missing={key: file for key, file in missing.items() if file.root_id in by_root},
        left_out=tuple(left_out),
    )


def _by_root(records: Iterable[FileRecord]) -> dict[str, list[FileRecord]]:
    grouped: dict[str, list[FileRecord]] = {}
    for record in records:
        grouped.setdefault(record.root_id, []).append(record)
    return grouped


def _proves_unchanged(record: FileRecord, file: SourceFile) -> bool:
    """Tell whether the stat proves equal bytes, judged by the same rules; not of a failed file."""
    now = file.stat
    if record.state == "failed" or record.stat != now or record.noise_rules != file.noise_rules:
        return False
    # A file system with whole seconds (FAT, old network mounts) cannot distinguish two changes
    # within one second. Files from an archive have whole mtimes too, but not ctimes.
    whole_seconds = now.mtime_ns % _SECOND_NS == 0 and now.ctime_ns % _SECOND_NS == 0
    tick = _COARSE_TICK_NS if whole_seconds else _TICK_NS
    return max(now.mtime_ns, now.ctime_ns) < record.observed_ns - tick
