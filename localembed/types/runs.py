"""What `index` does: its events, its report, and what a run would take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from localembed.types.documents import Note
from localembed.types.models import EngineUse


@dataclass(frozen=True, slots=True)
class FileCounts:
    """seen = added + changed + renamed + unchanged + skipped + failed; removed stands apart."""

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
    """Chunks written by this run = embedded + reused + failed; total is the table's."""

    total: int = 0
    embedded: int = 0
    reused: int = 0
    removed: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens given to the model, and words that it could not see."""

    embedded: int = 0
    truncated: int = 0


@dataclass(frozen=True, slots=True)
class RunReport:
    """What one `index` did."""

    run: int | None
    """None when nothing was written."""
    version: int | None
    """The run that readers see; None while there is none."""
    model: str
    changed: bool
    files: FileCounts
    chunks: ChunkCounts
    tokens: TokenCounts
    bytes: int
    """Read from files."""
    seconds: float
    stages: Mapping[str, float]
    """Seconds by stage."""
    busy: Mapping[str, float]
    """read, embed and write → the share of their common time in which it had work."""
    engine: EngineUse | None
    """What embedded; None if nothing had to be."""
    skipped: tuple[Note, ...]
    failures: tuple[Note, ...]
    refused: tuple[str, ...] = ()
    """Roots that looked gone, one sentence each; nothing of them was removed."""

    @property
    def bottleneck(self) -> str | None:
        """Which of reading, embedding and writing the others waited for."""
        return max(self.busy, key=lambda side: self.busy[side], default=None)

    @property
    def exit_code(self) -> int:
        """The command's exit code: 5 for a refused root, 3 for a failed input, else 0."""
        if self.refused:
            return 5
        return 3 if self.failures else 0


Notice = Callable[[str], None]
"""Told in a sentence what the user should know."""


def ignore_notice(_text: str) -> None:
    """Take a notice and do nothing."""


@dataclass(frozen=True, slots=True)
class Price:
    """What embedding takes and costs."""

    server: str | None = None
    """Address of the provider; None where the model is on this machine."""
    minutes: float | None = None
    """Minutes at the limits that the provider is known to have; None where none is known."""
    usd: float | None = None
    """None where no price is known."""
    price_date: str | None = None


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would embed, and what that would take."""

    model: str
    estimate: Estimate
    price: Price


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would embed."""

    files: int
    """That would be read."""
    chunks: int
    """Of these files."""
    reused: int
    """Whose vectors are stored."""
    embedded: int
    tokens: int
    """Of what would be embedded, prompts included."""
    requests: int
    """To a server; 0 where the model is here."""
