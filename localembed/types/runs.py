"""The records of a run: its report, its notices and its estimate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from localembed.types.documents import EncodingNote, Note
from localembed.types.listing import ListedFile
from localembed.types.models import EngineUse


@dataclass(frozen=True, slots=True)
class FileCounts:
    """Files of a run.

    seen = added + changed + renamed + unchanged + skipped + failed; removed is separate.
    """

    seen: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    renamed: int = 0
    unchanged: int = 0
    skipped: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class ChunkCounts:
    """Chunks of a run, which wrote embedded + reused + failed; total is the table's."""

    total: int = 0
    embedded: int = 0
    reused: int = 0
    removed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens given to the model, and words that were truncated."""

    embedded: int = 0
    truncated: int = 0


@dataclass(frozen=True, slots=True)
class RunReport:
    """Report of one run."""

    run: int | None
    """Number of the run; None if nothing was written."""
    version: int | None
    """Run that readers see; None if there is none yet."""
    model: str
    changed: bool
    files: FileCounts
    chunks: ChunkCounts
    tokens: TokenCounts
    bytes: int
    """Bytes read from files."""
    seconds: float
    stages: Mapping[str, float]
    """Stage → seconds."""
    busy: Mapping[str, float]
    """read, load, embed and write → share of their common time in which each had work."""
    engine: EngineUse | None
    """Engine that embedded; None if there was nothing to embed."""
    skipped: tuple[Note, ...]
    failures: tuple[Note, ...]
    encodings: tuple[EncodingNote, ...] = ()
    """Files of this run whose encoding was guessed, or that have invalid bytes."""
    refused: tuple[str, ...] = ()
    """Roots that seemed to be missing, one sentence each; none of their files was removed."""
    left_out: tuple[Note, ...] = ()
    """Skipped files that were indexed until now: noise and secrets by the default rules."""
    largest: tuple[ListedFile, ...] = ()
    """Few files that make up half of the table's chunks or more, the largest first."""

    @property
    def bottleneck(self) -> str | None:
        """The busiest of reading, loading, embedding and writing, for which the others waited."""
        return max(self.busy, key=lambda side: self.busy[side], default=None)

    @property
    def exit_code(self) -> int:
        """The command's exit code: 5 for a refused root, 3 for a failed input, else 0."""
        if self.refused:
            return 5
        return 3 if self.failures else 0


Notice = Callable[[str], None]
"""Callback for a sentence that the user should see."""


def ignore_notice(_text: str) -> None:
    """Do nothing with a notice."""


@dataclass(frozen=True, slots=True)
class Price:
    """Time and money that embedding costs."""

    server: str | None = None
    """Address of the provider; None for a local model."""
    minutes: float | None = None
    """Minutes at the provider's known limits; None if none is known."""
    usd: float | None = None
    """US dollars; None if no price is known."""
    price_date: str | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would embed, and what that would cost."""

    model: str
    estimate: Estimate
    price: Price


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would embed."""

    files: int
    """Number of files to read."""
    chunks: int
    """Number of chunks in these files."""
    reused: int
    """Number of chunks whose vectors are already stored."""
    embedded: int
    tokens: int
    """Number of tokens to embed, prompts included."""
    requests: int
    """Number of requests to the provider; 0 for a local model."""
