"""The rules by which documents are chunked."""

from __future__ import annotations

from dataclasses import dataclass

VERSION = 3
"""Version of the algorithm; raise it when the same text and rules give other chunks."""

_MIN_TOKENS = 2

CHARS_PER_TOKEN = 16
"""Maximum characters per token; a longer token counts as several."""


@dataclass(frozen=True, slots=True)
class ChunkRules:
    """Sizes in tokens."""

    max_tokens: int
    overlap_tokens: int

    def __post_init__(self) -> None:
        """Check the sizes.

        Raises:
            ValueError: the maximum is below 2, or the overlap is more than half of it.
        """
        if self.max_tokens < _MIN_TOKENS or not 0 <= self.overlap_tokens <= self.max_tokens // 2:
            message = f"invalid chunk size {self.max_tokens} with overlap {self.overlap_tokens}"
            raise ValueError(message)

    @property
    def facts(self) -> dict[str, object]:
        """The values that are part of a table's fingerprint."""
        return {
            "version": VERSION,
            "max_tokens": self.max_tokens,
            "overlap_tokens": self.overlap_tokens,
            "chars_per_token": CHARS_PER_TOKEN,
        }
