"""Status and settings, as text and as JSON (docs/json.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from localembed.cli.render.output import style
from localembed.cli.render.text import duration, from_home, local_time, near, printable, size
from localembed.core.text import counted, show_path
from localembed.types.documents import Root
from localembed.types.tables import Status
from localembed.workspace.settings import Sourced

_WHOLE_RATE = 10
"""Chunks per second from which the fraction does not matter."""
_MAX_LISTED = 10
"""Maximum roots, and failures, to show; `status --json` lists all."""


def status_text(status: Status) -> str:
    """Return the text form of a status."""
    done = "" if status.complete or not status.table else " (not complete yet)"
    rows = [
        ("Workspace", from_home(str(status.workspace))),
        ("Index", f"{counted(status.files, 'file')}, {counted(status.chunks, 'chunk')}{done}"),
        ("Model", status.model or "none yet"),
        ("Run", f"{status.version}{_last_run(status)}" if status.version else "none yet"),
        *_vector_index(status),
        *_unreadable(status),
        ("Disk", size(status.disk_bytes)),
        *_listed("Root", [_root_text(root) for root in status.roots]),
        *_listed("Unknown", [_unknown_text(*root) for root in status.unknown_roots.items()]),
        *(
            ("Also", f"{entry.model}: {entry.chunks:,} chunks, up to {entry.max_tokens} tokens")
            for entry in status.other_tables.values()
        ),
    ]
    if status.failures:
        passages = counted(len(status.failures), "passage")
        hint = "run: localembed index --retry-failed"
        rows.append(("Failed", f"{passages} without a vector; {hint}"))
        notes = status.failures
        rows += _listed("", [f"{from_home(show_path(note.path))}: {note.reason}" for note in notes])
    if status.pending_bytes and not status.running:
        pending = f"{size(status.pending_bytes)} of vectors, for the next localembed index"
        rows.append(("Pending", pending))
    if status.running:
        place = f" (process {status.running.get('pid')})"
        rows.append(("Running", running_text(status.running) + place))
    return "\n".join(f"{style(f'{name:<10}', bold=True)}{printable(v)}" for name, v in rows)


def running_text(running: Mapping[str, Any]) -> str:
    """Return a line about a run in progress, from its heartbeat."""
    chunks, total = running.get("chunks", 0), running.get("chunks_total", 0)
    files = f"{running.get('files', 0):,} of {running.get('files_total', 0):,} files read"
    if not chunks:
        return f"run {running.get('run')}: {files}, no vectors yet"
    text = f"run {running.get('run')}: {chunks:,} of about {total:,} chunks, {files}"
    if rate := running.get("chunks_per_second"):
        text += f", {rate:,.0f}/s" if rate >= _WHOLE_RATE else f", {rate}/s"
    if (left := running.get("seconds_left")) is not None:
        text += f", {duration(left)} left"
    return text


def _listed(name: str, values: Sequence[str]) -> list[tuple[str, str]]:
    rows = [(name, value) for value in values[:_MAX_LISTED]]
    if len(values) > _MAX_LISTED:
        rows.append(("", f"and {len(values) - _MAX_LISTED:,} more (status --json lists all)"))
    return rows


def _vector_index(status: Status) -> list[tuple[str, str]]:
    if status.vector_index is None:
        return []
    recall = f"recall@10 {status.vector_index.recall:.2f} against exact search"
    return [("Vectors", f"indexed, {recall}")]


def _unreadable(status: Status) -> list[tuple[str, str]]:
    if not status.unreadable:
        return []
    chunks = counted(status.unreadable, "chunk")
    hint = "a multilingual one can: localembed models"
    return [("Unread", f"{chunks} the model cannot read; {hint}")]


def _last_run(status: Status) -> str:
    if not status.last_run:
        return ""
    return f", {local_time(str(status.last_run.get('at', '')))}"


def _root_text(root: Root) -> str:
    options = [f"--include {glob}" for glob in root.include]
    options += [f"--exclude {glob}" for glob in root.exclude]
    options += ["--hidden"] * root.hidden + ["--no-ignore"] * root.no_ignore
    removed = [show_path(path) for path in sorted(root.removed)]
    options += [f"without {', '.join(removed)}"] if removed else []
    options += ["(on another machine)"] if root.elsewhere else []
    return " ".join([from_home(show_path(root.path)), *options])


def _unknown_text(root_id: str, documents: int) -> str:
    files = counted(documents, "file")
    return f"{root_id}, {files}, not in config.toml; run: localembed index FOLDER (or rm {root_id})"


def settings_text(sourced: Sourced) -> str:
    """Return a table of settings with their origins."""
    values = asdict(sourced.settings)
    for name in ("max_file_size", "resident_memory"):
        values[name] = size(values[name])
    return "\n".join(
        f"{name:<17} {'-' if values[name] is None else printable(str(values[name])):<22}"
        f"{style(printable(near(origin)), dim=True)}"
        for name, origin in sourced.origins.items()
    )
