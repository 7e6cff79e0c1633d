"""Refuse deletions that are probably a mistake, such as those of an unmounted root.

The files that runs found missing are remembered (see `store.missing_files`): a refusal lasts until
they come back, and the deletions of a day count together. They are compared with what the root held
when they began, so that files added meanwhile change nothing. Files that are still there, but
skipped by the default rules now, are not lost: they are removed without a question.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from localembed.core.text import shell_word, show_path
from localembed.types.documents import (
    DEFAULT_CATEGORIES,
    FileRecord,
    MissingFile,
    Note,
    Root,
    SourceFile,
)

_MIN_FILES = 20
"""Minimum files that count as a mass deletion."""
_WINDOW_NS = 24 * 3600 * 1_000_000_000
"""How long a deletion counts together with later ones."""


class Walked(Protocol):
    """The part of a walk that decides about deletions (see `sources.Walk`)."""

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

    def covers(self, path: bytes) -> bool:
        """Tell whether the walk would have found a file with this path."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a walk removes, and what is remembered of it."""

    removed: tuple[FileRecord, ...]
    refused: str | None
    """Sentence that says why nothing is removed; None if the deletions are carried out."""
    missing: Mapping[bytes, MissingFile]
    """Files of all roots that are remembered as missing after this walk, by doc_id."""
    left_out: tuple[Note, ...] = ()
    """Removed files that are still there, and that the default rules skip now."""


def judge(
    walk: Walked,
    records: Collection[FileRecord],
    missing: Mapping[bytes, MissingFile],
    now_ns: int,
    *,
    allowed: bool,
) -> Verdict:
    """Decide whether the files that a walk did not find are removed.

    Args:
        walk: the walk.
        records: all records of its root.
        missing: files that earlier runs found missing, by doc_id.
        now_ns: the current time.
        allowed: remove them even if that looks like a mistake.
    """
    found = {file.doc_id for file in walk.files}
    covered = [record for record in records if walk.covers(record.path)]
    skipped = _skipped_by_default(walk, [r for r in covered if r.doc_id not in found])
    recorded = [record for record in covered if record.doc_id not in skipped]
    gone = [record for record in recorded if record.doc_id not in found]
    out = tuple(record for record in covered if record.doc_id in skipped)
    left_out = tuple(skipped[record.doc_id] for record in out if record.n_chunks)
    root_id, known_ids = walk.root.root_id, {record.doc_id for record in records}
    own = {
        key: file
        for key, file in missing.items()
        if file.root_id == root_id
        and key not in found
        and (key in known_ids if file.refused else now_ns - file.at_ns < _WINDOW_NS)
    }
    others = {key: file for key, file in missing.items() if file.root_id != root_id}
    if allowed:
        left = {key: file for key, file in own.items() if not walk.covers(file.path)}
        return Verdict((*gone, *out), None, others | left, left_out)
    lost = _not_moved(gone, walk.files, known_ids)
    first = min(own.values(), key=lambda file: file.at_ns, default=None)
    known = first.known if first else len(records)
    old = [record for record in lost if first is None or record.observed_ns <= first.at_ns]
    total = len(own.keys() | {record.doc_id for record in old})
    refused = _refusal(walk, recorded, lost, own) or _gradual_loss(walk.root, total, known, lost)
    newly = {
        record.doc_id: MissingFile(root_id, record.path, known, now_ns, refused=refused is not None)
        for record in (gone if refused else old)
        if record.doc_id not in own or (refused and not own[record.doc_id].refused)
    }
    removed = out if refused else (*gone, *out)
    return Verdict(removed, refused, others | own | newly, left_out)


def _skipped_by_default(walk: Walked, gone: Sequence[FileRecord]) -> dict[bytes, Note]:
    """Return doc_id → note of the files that the walk saw, and that the default rules skip."""
    notes = {n.path: n for n in walk.skipped if n.category in DEFAULT_CATEGORIES} if gone else {}
    if not notes:
        return {}
    found: dict[bytes, Note] = {}
    for record in gone:
        path = os.path.join(walk.root.path, record.path)  # noqa: PTH118 - bytes
        place = path
        while len(place) > len(walk.root.path) and place not in notes:
            place = place.rstrip(b"/").rpartition(b"/")[0] + b"/"
        if place in notes:
            found[record.doc_id] = replace(notes[place], path=path)
    return found


def _refusal(
    walk: Walked,
    recorded: Sequence[FileRecord],
    lost: Sequence[FileRecord],
    missing: Mapping[bytes, MissingFile],
) -> str | None:
    """Return a sentence if removing the lost files is probably a mistake, else None."""
    if walk.missing:
        what = "on another machine" if walk.root.elsewhere else "missing or cannot be listed"
        move = f"localembed roots move {shell_word(walk.root.path)} NEW"
        return _sentence(walk.root, f"is {what} (to say where it is now: {move})")
    if recorded and not walk.files and not walk.scope:
        return _sentence(walk.root, f"is suddenly empty ({_files(len(recorded))} before)")
    standing = [missing[r.doc_id] for r in lost if r.doc_id in missing]
    standing = [file for file in standing if file.refused]
    if standing:
        what = f"still lacks {len(standing)} of the {_files(standing[0].known)} that it had"
        return _sentence(walk.root, f"{what} when a run first refused to remove them")
    if is_mass(len(lost), len(recorded)):
        return _sentence(walk.root, f"has lost {len(lost)} of {len(recorded)} files")
    return None


def _gradual_loss(root: Root, total: int, known: int, lost: Sequence[FileRecord]) -> str | None:
    """Return a sentence if the deletions of the last runs are probably a mistake, else None."""
    if not lost or not is_mass(total, known):
        return None
    return _sentence(root, f"has lost {total} of {known} files within a day")


def is_mass(lost: int, known: int) -> bool:
    """Tell whether so many files are lost that it is probably a mistake."""
    return lost >= _MIN_FILES and 2 * lost > known


def _sentence(root: Root, what: str) -> str:
    where = show_path(root.path)
    return (
        f"{where} {what}. None of its files was removed from the index. If they should be, run the "
        f"same command with --allow-mass-delete, or remove the root with: localembed rm "
        f"{shell_word(root.path)}"
    )


def _not_moved(
    gone: Sequence[FileRecord], files: Sequence[SourceFile], known_ids: Collection[bytes]
) -> list[FileRecord]:
    """Return the files that are gone and have no new file with the same size and mtime."""
    fresh = Counter((f.stat.size, f.stat.mtime_ns) for f in files if f.doc_id not in known_ids)
    lost: list[FileRecord] = []
    for record in gone:
        key = (record.stat.size, record.stat.mtime_ns)
        if fresh[key] > 0:
            fresh[key] -= 1
        else:
            lost.append(record)
    return lost


def _files(number: int) -> str:
    return "1 file" if number == 1 else f"{number:,} files"
