"""The JSON forms of everything that a command prints (docs/json.md)."""

from __future__ import annotations

from dataclasses import asdict

from localembed.core.text import show_path
from localembed.types.documents import Note
from localembed.types.models import EngineUse
from localembed.types.runs import RunReport


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
