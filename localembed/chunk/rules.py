"""What decides where a document is cut."""

from __future__ import annotations

from dataclasses import dataclass

VERSION = 1
"""Raise it when the same text and rules give other chunks."""

CHARS_PER_TOKEN = 16
"""A token that stands for more characters than this counts for more than one."""


@dataclass(frozen=True, slots=True)
class ChunkRules:
    """Sizes in tokens."""

    max_tokens: int
    overlap_tokens: int

    @property
    def facts(self) -> dict[str, object]:
        """Everything that belongs to a table's fingerprint."""
        return {
            "version": VERSION,
            "max_tokens": self.max_tokens,
            "overlap_tokens": self.overlap_tokens,
            "chars_per_token": CHARS_PER_TOKEN,
        }
