"""The steps of a run, as reported to progress displays and tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Step(StrEnum):
    """A step that a run has just finished; the count of its event depends on the step."""

    FILES = "files"
    """The plan is made; the count is the number of files to read."""
    FILE = "file"
    """One file was read and chunked."""
    CHUNKED = "chunked"
    """That file was chunked; the count is the number of its chunks."""
    TOTAL = "total"
    """The count is the number of chunks that the whole run may have, by the bytes read so far."""
    REUSED = "reused"
    """Chunks share the vectors of others, stored or of this run; the count is their number."""
    EMBEDDED = "embedded"
    """The model embedded chunks, or is about to; the count is their number."""
    CLAIMED = "claimed"
    """The run claimed its number, which is the count."""
    RECONCILED = "reconciled"
    """The manifest was rebuilt from the rows; the count is the number of documents."""
    RESTORED = "restored"
    """An older version was restored; the count is the new Lance version."""
    ADDED = "added"
    """Rows were added."""
    DELETED = "deleted"
    """The older rows of documents were deleted."""
    SYNCED = "synced"
    """Everything up to a Lance version, which is the count, is durable."""
    RECORDED = "recorded"
    """The records of documents were written into the manifest."""
    PUBLISHED = "published"
    """Readers see a Lance version, which is the count."""
    COMPACTED = "compacted"
    """Fragments were merged; the count is the new Lance version."""
    PROTECTED = "protected"
    """The versions to keep are branches; the count is their number."""
    CLEANED = "cleaned"
    """Other versions were freed; the count is the number of versions that were kept."""
    ENDING = "ending"
    """The run ends early, and saves what it has embedded."""
    FINISHED = "finished"
    """The run, whose number is the count, is complete."""


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One step of a run."""

    step: Step
    count: int


EventListener = Callable[[RunEvent], None]


def ignore_event(_event: RunEvent) -> None:
    """Do nothing with an event."""
