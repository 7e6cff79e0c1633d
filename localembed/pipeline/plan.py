"""Which files a run has to look at: stats against the manifest, and nothing opened.

Unchanged is what has the same size, times and inode as when it was last read, and was old enough
then that a later change could not hide in the same tick of the clock (git's racy rule).
Deletion is part of the plan, never a side effect: only what a complete walk did not find.
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
    """What the plan needs of a walk (see `sources.Walk`)."""

    @property
    def root(self) -> Root:
        """The root."""

    @property
    def scope(self) -> bytes:
        """The part that was walked."""

    @property
    def missing(self) -> bool:
        """Whether its top could not be listed."""

    @property
    def files(self) -> Sequence[SourceFile]:
        """What was found."""

    @property
    def skipped(self) -> Sequence[Note]:
        """What a rule left out."""

    @property
    def failures(self) -> Sequence[Note]:
        """What could not be listed or examined."""

    def covers(self, path: bytes) -> bool:
        """Tell whether a file with this path would have been seen."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do, before any file is opened."""

    added: tuple[SourceFile, ...]
    """No record of them; some turn out to be renamed once they are read."""
    changed: tuple[SourceFile, ...]
    """Their stat differs or proves nothing; some turn out to have equal bytes."""
    removed: tuple[FileRecord, ...]
    unchanged: int
    skipped: tuple[Note, ...]
    failures: tuple[Note, ...]
    refused: tuple[str, ...]
    """Roots that look gone, one sentence each."""

    @property
    def to_read(self) -> tuple[SourceFile, ...]:
        """All files that have to be opened."""
        return self.added + self.changed

    @property
    def size(self) -> int:
        """Bytes of these files, as the walk saw them."""
        return sum(file.stat.size for file in self.to_read)


def make_plan(
    walks: Sequence[Walked],
    records: Mapping[bytes, FileRecord],
    *,
    verify: bool = False,
    allow_mass_delete: bool = False,
) -> Plan:
    """Compare what the walks saw with what the manifest remembers.

    Args:
        walks: one per scope.
        records: doc_id → what was remembered, of all roots.
        verify: trust no stat, read everything.
        allow_mass_delete: do not refuse a root that looks gone.
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
        known = [r for r in by_root.get(walk.root.root_id, ()) if walk.covers(r.path)]
        gone = _gone(walk.files, known)
        sentence = None if allow_mass_delete else _looks_gone(walk, known, gone)
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


def _gone(files: Sequence[SourceFile], known: Sequence[FileRecord]) -> list[FileRecord]:
    seen = {file.doc_id for file in files}
    return [record for record in known if record.doc_id not in seen]


def _proves_unchanged(record: FileRecord, now: FileStat) -> bool:
    """Tell whether equal stats mean equal bytes; a failed file is always tried again."""
    if record.state == "failed" or record.stat != now:
        return False
    # A file system that keeps whole seconds (FAT, old network mounts) cannot tell two changes
    # within one of them apart. An unpacked archive has whole mtimes too, but not ctimes.
    whole_seconds = now.mtime_ns % _SECOND_NS == 0 and now.ctime_ns % _SECOND_NS == 0
    tick = _COARSE_TICK_NS if whole_seconds else _TICK_NS
    return max(now.mtime_ns, now.ctime_ns) < record.observed_ns - tick


def _looks_gone(
    walk: Walked, known: Sequence[FileRecord], gone: Sequence[FileRecord]
) -> str | None:
    """Return a sentence if removing these records is more likely a mistake than a wish."""
    where = show_path(walk.root.path)
    hint = (
        "Nothing of it was removed. If that is right, run the same command with "
        "--allow-mass-delete, or forget it with: localembed rm"
    )
    if walk.missing:
        return f"{where} is missing or cannot be listed. {hint} {where}"
    if known and not walk.files and not walk.scope:
        return f"{where} is suddenly empty ({_files(len(known))} before). {hint} {where}"
    lost = _not_moved(gone, walk.files, known)
    if lost >= _GUARD_FILES and 2 * lost > len(known):
        return f"{where} has lost {lost} of {len(known)} files. {hint} {where}"
    return None


def _not_moved(
    gone: Sequence[FileRecord], files: Sequence[SourceFile], known: Sequence[FileRecord]
) -> int:
    """Count the files that are gone and did not turn up elsewhere with the same size and mtime."""
    remembered = {record.doc_id for record in known}
    fresh = Counter((f.stat.size, f.stat.mtime_ns) for f in files if f.doc_id not in remembered)
    here = Counter((record.stat.size, record.stat.mtime_ns) for record in gone)
    return (here - fresh).total()


def _files(number: int) -> str:
    return "1 file" if number == 1 else f"{number} files"
