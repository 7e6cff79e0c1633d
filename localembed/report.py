"""What `index` did: the record, and its JSON form (docs/json.md)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from localembed.types import EngineUse, Note


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


def report_json(report: RunReport) -> dict[str, object]:
    """Return a report as plain values; paths that are no valid UTF-8 are shown with escapes."""
    return {
        "run": report.run,
        "version": report.version,
        "model": report.model,
        "changed": report.changed,
        "files": asdict(report.files),
        "chunks": asdict(report.chunks),
        "tokens": asdict(report.tokens),
        "bytes": report.bytes,
        "seconds": round(report.seconds, 3),
        "stages": {name: round(seconds, 3) for name, seconds in report.stages.items()},
        "busy": {side: round(share, 3) for side, share in report.busy.items()},
        "bottleneck": report.bottleneck,
        "engine": _engine_json(report.engine),
        "skipped": [_note_json(note) for note in report.skipped],
        "failures": [_note_json(note) for note in report.failures],
        "refused": list(report.refused),
    }


def _engine_json(use: EngineUse | None) -> dict[str, object] | None:
    if use is None:
        return None
    return {
        "name": use.engine,
        "device": use.device,
        "precision": use.precision,
        "batch_tokens": use.batch_tokens,
        "padding": round(use.padding, 4),
        "too_large": use.too_large,
        "remote": asdict(use.remote) if use.remote else None,
    }


def _note_json(note: Note) -> dict[str, object]:
    return {"path": show_path(note.path), "reason": note.reason}


def show_path(path: bytes) -> str:
    """Return a path as valid text; bytes that are none are shown as escapes."""
    return os.fsdecode(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, singular for one."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
