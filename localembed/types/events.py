"""The steps of a run, as progress displays and tests are told of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Step(StrEnum):
    """What a run has just done; the count of its event says how much."""

    FILES = "files"
    """The plan is made; the count is the number of files to read."""
    FILE = "file"
    """One file was read and chunked."""
    CHUNKED = "chunked"
    """The chunks of that file."""
    EMBEDDED = "embedded"
    """Chunks that have their vectors now, embedded or reused."""
    CLAIMED = "claimed"
    """The run has its number, which is the count."""
    RECONCILED = "reconciled"
    """The manifest was rebuilt from the rows; the count is the number of documents."""
    RESTORED = "restored"
    """An older version is the newest again; the count is the new Lance version."""
    ADDED = "added"
    """Rows were added."""
    DELETED = "deleted"
    """Documents lost their older rows."""
    SYNCED = "synced"
    """Everything up to a Lance version, which is the count, is safely on disk."""
    RECORDED = "recorded"
    """The manifest has the records of documents."""
    PUBLISHED = "published"
    """Readers see a Lance version, which is the count."""
    COMPACTED = "compacted"
    """Fragments were merged; the count is the new Lance version."""
    PROTECTED = "protected"
    """The versions to keep are branches; the count is their number."""
    CLEANED = "cleaned"
    """Other versions were freed; the count is the number of versions that were kept."""
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
