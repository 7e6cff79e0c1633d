"""What commands print: text for eyes within the terminal's width, JSON as docs/json.md says."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from textwrap import dedent
from typing import Any

import click

from localembed.config import Sourced
from localembed.report import show_path
from localembed.types import Note, Root, RunReport, SearchHit
from localembed.workspace import QueryResult, Status

_WORD = re.compile(r"\w+")
_SNIPPET_LINES = 3
_MOST_FAILURES = 20
_INDENT = "   "


def _width() -> int:
    return max(40, min(shutil.get_terminal_size((80, 24)).columns, 120))


# index


def index_report(report: RunReport) -> str:
    """Return the report of a run."""
    lines = [_index_headline(report)]
    if report.tokens.embedded:
        lines.append(_index_speed(report))
    if report.changed:
        lines.append(_INDENT + _stages(report.stages))
    if report.skipped:
        lines.append(f"{_INDENT}skipped {len(report.skipped):,}: {_reasons(report.skipped)}")
    if report.tokens.truncated:
        lines.append(
            f"{_INDENT}{report.tokens.truncated:,} words were too long for the model to see"
        )
    if report.chunks.failed:
        lines.append(f"{_INDENT}{report.chunks.failed:,} chunks could not be embedded")
    lines += _failures(report.failures)
    lines += [click.style("refused ", fg="red") + sentence for sentence in report.refused]
    return "\n".join(lines)


def _index_headline(report: RunReport) -> str:
    files, chunks = report.files, report.chunks
    if not report.changed:
        return (
            f"Nothing changed: {files.seen:,} files looked at in {report.seconds:.2f} s, "
            "nothing embedded"
        )
    names = ("added", "changed", "renamed", "removed", "unchanged", "failed")
    counts = [f"{getattr(files, name):,} {name}" for name in names if getattr(files, name)]
    parts = [f"{chunks.embedded:,} embedded", f"{chunks.reused:,} reused"]
    if chunks.removed:
        parts.append(f"{chunks.removed:,} removed")
    bold = click.style(f"Run {report.run}", bold=True)
    return (
        f"{bold} in {report.seconds:.1f} s: files {', '.join(counts) or '0'}\n"
        f"{_INDENT}{chunks.total:,} chunks in the index: {', '.join(parts)}"
    )


def _index_speed(report: RunReport) -> str:
    seconds = max(report.stages.get("embed", 0.0), 1e-9)
    files = report.files.added + report.files.changed + report.files.renamed
    return (
        f"{_INDENT}{files / max(report.seconds, 1e-9):,.1f} files/s overall, while embedding "
        f"{report.chunks.embedded / seconds:,.0f} chunks/s and "
        f"{report.tokens.embedded / seconds:,.0f} tokens/s"
    )


def _stages(stages: Mapping[str, float]) -> str:
    shown = [(name, seconds) for name, seconds in stages.items() if seconds >= 0.05]
    return "  ".join(f"{name} {seconds:.1f} s" for name, seconds in shown) or "under 0.1 s"


def _reasons(notes: Sequence[Note]) -> str:
    counts = Counter(note.reason.split(" (")[0] for note in notes)
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common())


def _failures(notes: Sequence[Note]) -> list[str]:
    lines = [
        f"{click.style('failed', fg='red')} {printable(_near(show_path(note.path)))}: {note.reason}"
        for note in notes[:_MOST_FAILURES]
    ]
    if len(notes) > _MOST_FAILURES:
        lines.append(f"… and {len(notes) - _MOST_FAILURES:,} more; --json names all")
    return lines


# query


def query_json(result: QueryResult) -> dict[str, object]:
    """Return the JSON form of an answer."""
    return {
        "query": result.query,
        "mode": result.mode,
        "version": result.version,
        "model": result.model,
        "seconds": round(result.seconds, 4),
        "hits": [hit_json(rank, hit) for rank, hit in enumerate(result.hits, start=1)],
    }


def hit_json(rank: int, hit: SearchHit) -> dict[str, object]:
    """Return the JSON form of one hit."""
    return {
        "rank": rank,
        "score": round(hit.score, 6),
        "path": hit.path,
        "start_line": hit.start_line,
        "end_line": hit.end_line,
        "start": hit.start,
        "end": hit.end,
        "heading": hit.heading,
        "text": hit.text,
        "chunk_id": hit.chunk_id,
    }


def hit_text(rank: int, hit: SearchHit, query: str) -> str:
    """Return one hit for a terminal: place and score, heading, a snippet with the words marked."""
    place = f"{printable(_near(hit.path))}:{hit.start_line}"
    head = (
        f"{rank:>2} {click.style(place, fg='cyan', bold=True)}"
        f"  {click.style(f'{hit.score:.3f}', dim=True)}"
    )
    width = _width() - len(_INDENT)
    lines = [head]
    if hit.heading:
        lines.append(_INDENT + click.style(_clipped(hit.heading, width), italic=True))
    pattern = _marks(query)
    lines += [
        _INDENT + _marked(_clipped(line, width), pattern) for line in snippet(hit.text, pattern)
    ]
    return "\n".join(lines) + "\n"


def snippet(text: str, pattern: re.Pattern[str] | None) -> list[str]:
    """Return the neighbouring lines of a chunk that hold the most different words of a query."""
    lines = [printable(line.expandtabs(4).rstrip()) for line in text.splitlines()]
    lines = [line for line in lines if _WORD.search(line)]
    best = 0
    if pattern is not None and len(lines) > _SNIPPET_LINES:
        found = [{match.lower()[:4] for match in pattern.findall(line)} for line in lines]
        starts = range(len(lines) - _SNIPPET_LINES + 1)
        best = max(starts, key=lambda i: (len(set().union(*found[i : i + _SNIPPET_LINES])), -i))
    return dedent("\n".join(lines[best : best + _SNIPPET_LINES])).splitlines()


def _marks(query: str) -> re.Pattern[str] | None:
    """Return what finds the query's words, and those with the same beginning."""
    stems = {
        re.escape(word[: max(3, len(word) - 2)]) if len(word) > 3 else re.escape(word) + r"\b"
        for word in _WORD.findall(query.lower())
        if len(word) > 2
    }
    if not stems:
        return None
    return re.compile(rf"\b(?:{'|'.join(sorted(stems))})\w*", re.IGNORECASE)


def _marked(line: str, pattern: re.Pattern[str] | None) -> str:
    if pattern is None:
        return line
    return pattern.sub(lambda match: click.style(match[0], fg="yellow", bold=True), line)


# status, models


def status_text(status: Status) -> str:
    """Return what is in a workspace."""
    done = "" if status.complete or not status.table else " (not complete yet)"
    rows = [
        ("Workspace", _home(str(status.workspace))),
        ("Index", f"{status.files:,} files, {status.chunks:,} chunks{done}"),
        ("Model", status.model or "none yet"),
        ("Run", f"{status.version}{_last_run(status)}" if status.version else "none yet"),
        ("Disk", _size(status.disk_bytes)),
        *(("Root", _root_text(root)) for root in status.roots),
        *(
            ("Beside", f"{entry.model}: {entry.chunks:,} chunks, up to {entry.max_tokens} tokens")
            for entry in status.other_tables.values()
        ),
    ]
    if running := status.running:
        rows.append(
            (
                "Running",
                f"run {running.get('run')}: {running.get('files', 0):,} of "
                f"{running.get('files_total', 0):,} files, {running.get('chunks', 0):,} chunks "
                f"(process {running.get('pid')})",
            )
        )
    return "\n".join(f"{click.style(f'{name:<10}', bold=True)}{printable(v)}" for name, v in rows)


def _last_run(status: Status) -> str:
    if not status.last_run:
        return ""
    return f", {str(status.last_run.get('at', ''))[:16].replace('T', ' ')} UTC"


def _root_text(root: Root) -> str:
    options = [f"--include {glob}" for glob in root.include]
    options += [f"--exclude {glob}" for glob in root.exclude]
    options += ["--hidden"] * root.hidden + ["--no-ignore"] * root.no_ignore
    return " ".join([_home(show_path(root.path)), *options])


def status_json(status: Status) -> dict[str, object]:
    """Return the JSON form of a status."""
    return {
        "workspace": str(status.workspace),
        "model": status.model,
        "table": status.table,
        "version": status.version,
        "complete": status.complete,
        "files": status.files,
        "chunks": status.chunks,
        "roots": [{**asdict(root), "path": show_path(root.path)} for root in status.roots],
        "disk_bytes": status.disk_bytes,
        "running": dict(status.running) if status.running else None,
        "other_tables": {name: asdict(entry) for name, entry in status.other_tables.items()},
    }


def settings_json(sourced: Sourced) -> dict[str, object]:
    """Return each setting with its origin."""
    values = asdict(sourced.settings)
    return {
        "settings": {
            name: {"value": values[name], "from": origin}
            for name, origin in sourced.origins.items()
        }
    }


def settings_text(sourced: Sourced) -> str:
    """Return a table of settings."""
    values = asdict(sourced.settings)
    return "\n".join(
        f"{name:<14}{'-' if values[name] is None else values[name]!s:<22}"
        f"{click.style(_near(origin), dim=True)}"
        for name, origin in sourced.origins.items()
    )


def models_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the table of models."""
    lines = [
        click.style(
            f"{'NAME':<26}{'HERE':<6}{'DIM':>5}{'TOKENS':>8}  {'SIZE':<10}LICENCE", bold=True
        )
    ]
    for row in rows:
        size = _size(row["bytes"]) if row["bytes"] else "-"
        lines.append(
            f"{row['name']:<26}{'yes' if row['installed'] else 'no':<6}{row['dim']:>5}"
            f"{row['max_tokens']:>8}  {size:<10}{row['license']}"
        )
        if row["hint"]:
            lines.append(_INDENT + row["hint"])
    return "\n".join(lines)


# shared


def printable(text: str) -> str:
    """Return text that cannot move the cursor or break a line: control characters as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _near(path: str) -> str:
    """Return a path relative to the current folder when it lies below it, or to the home."""
    here = os.getcwd().rstrip("/") + "/"  # noqa: PTH109 - compared as text
    return path.removeprefix(here) if path.startswith(here) else _home(path)


def _home(path: str) -> str:
    """Return a path with ~ for the home folder."""
    home = str(Path.home()).rstrip("/")
    return "~" + path[len(home) :] if home and path.startswith(home + "/") else path


def _clipped(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
