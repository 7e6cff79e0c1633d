"""The JSON form of what `index` did (docs/json.md)."""

from __future__ import annotations

import os
from dataclasses import asdict

from localembed.types import EngineUse, Note, RunReport


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
    }


def _note_json(note: Note) -> dict[str, object]:
    return {"path": show_path(note.path), "reason": note.reason}


def show_path(path: bytes) -> str:
    """Return a path as valid text; bytes that are none are shown as escapes."""
    return os.fsdecode(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, singular for one."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
