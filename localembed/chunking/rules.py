"""What decides where a document is cut."""

from __future__ import annotations

from dataclasses import dataclass

VERSION = 2
"""Raise it when the same text and rules give other chunks."""

_LEAST = 2

CHARS_PER_TOKEN = 16
"""A token that stands for more characters than this counts for more than one."""


@dataclass(frozen=True, slots=True)
class ChunkRules:
    """Sizes in tokens."""

    max_tokens: int
    overlap_tokens: int

    def __post_init__(self) -> None:
        """Refuse sizes that cannot work.

        Raises:
            ValueError: the maximum is below 2, or the overlap over half of it.
        """
        if self.max_tokens < _LEAST or not 0 <= self.overlap_tokens <= self.max_tokens // 2:
            message = f"chunks of {self.max_tokens} tokens, {self.overlap_tokens} repeated"
            raise ValueError(message)

    @property
    def facts(self) -> dict[str, object]:
        """Everything that belongs to a table's fingerprint."""
        return {
            "version": VERSION,
            "max_tokens": self.max_tokens,
            "overlap_tokens": self.overlap_tokens,
            "chars_per_token": CHARS_PER_TOKEN,
        }
