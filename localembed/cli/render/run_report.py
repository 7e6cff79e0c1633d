"""The report of `index` as text; its JSON form is in `localembed.types.json_forms`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from localembed.cli.render.output import style
from localembed.cli.render.text import INDENT, near, printable, wrapped
from localembed.core.text import counted, show_path
from localembed.types.documents import EncodingNote, Note
from localembed.types.models import EngineUse, RemoteUse
from localembed.types.runs import RunReport

_MAX_FAILURES = 20
_MAX_NAMED = 3
_MAX_LARGEST = 5
_NOTHING_READ = (
    "The index is still empty. To see why each file was left out: localembed files --skipped. To "
    "add a folder with text, Markdown or code: localembed index FOLDER"
)
_SMALL = 0.005
"""Share of the time below which loading is not named."""


def index_report(report: RunReport) -> str:
    """Return the text form of a run's report."""
    lines: list[str] = []
    if report.files.seen or not report.refused:
        lines += _headline(report)
    if report.tokens.embedded:
        lines.append(wrapped(_speed(report), INDENT))
    if report.engine:
        lines.append(wrapped(printable(_engine(report.engine)), INDENT))
    if report.changed:
        lines.append(wrapped(_stages(report.stages), INDENT))
    if report.busy and report.engine:
        lines.append(wrapped(_bottleneck(report), INDENT))
    if report.skipped:
        skipped = f"skipped {len(report.skipped):,}: {_reasons(report.skipped)}"
        lines.append(wrapped(printable(skipped), INDENT))
    lines += _left_out(report.left_out)
    if report.largest:
        lines.append(wrapped(_largest(report), INDENT))
    if report.tokens.truncated:
        words = counted(report.tokens.truncated, "word")
        lines.append(wrapped(f"{words} too long for the model", INDENT))
    lines += [wrapped(printable(line), INDENT) for line in _encodings(report.encodings)]
    return "\n".join([*lines, *_problems(report)])


def index_problems(report: RunReport) -> str:
    """Return the failures and refusals of a run, empty if there are none."""
    return "\n".join(_problems(report))


def _problems(report: RunReport) -> list[str]:
    refused = [wrapped(printable(f"refused: {sentence}")) for sentence in report.refused]
    return [*_failures(report.failures), *map(_in_red, refused)]


def _headline(report: RunReport) -> list[str]:
    files, chunks = report.files, report.chunks
    if not report.changed and not chunks.total:
        checked = f"{counted(files.seen, 'file')} checked in {report.seconds:.2f} s"
        return [
            wrapped(f"Nothing could be indexed: {checked}, none with text"),
            wrapped(_NOTHING_READ, INDENT),
        ]
    if not report.changed:
        checked = f"{counted(files.seen, 'file')} checked in {report.seconds:.2f} s"
        return [wrapped(f"Nothing changed: {checked}, nothing embedded")]
    names = ("added", "changed", "renamed", "removed", "unchanged", "failed")
    counts = [(getattr(files, name), name) for name in names if getattr(files, name)]
    shown = [f"{counted(number, 'file')} {name}" for number, name in counts[:1]]
    shown += [f"{number:,} {name}" for number, name in counts[1:]]
    parts = [f"{chunks.embedded:,} embedded", f"{chunks.reused:,} reused"]
    if chunks.removed:
        parts.append(f"{chunks.removed:,} removed")
    return [
        wrapped(f"Run {report.run} in {report.seconds:.1f} s: {', '.join(shown) or 'no files'}"),
        wrapped(f"{counted(chunks.total, 'chunk')} in the index: {', '.join(parts)}", INDENT),
    ]


def _speed(report: RunReport) -> str:
    seconds = max(report.stages.get("embed", 0.0), 1e-9)
    files = report.files.added + report.files.changed + report.files.renamed
    return (
        f"{files / max(report.seconds, 1e-9):,.1f} files/s overall; while embedding "
        f"{report.chunks.embedded / seconds:,.0f} chunks/s, "
        f"{report.tokens.embedded / seconds:,.0f} tokens/s"
    )


def _engine(use: EngineUse) -> str:
    if use.remote is not None:
        return _remote(use.device, use.remote)
    text = f"{use.engine} in {use.precision} on {use.device}, {use.padding:.1%} padding"
    if use.too_large:
        text += f"; {counted(use.too_large, 'text')} did not fit in memory even alone"
    return text


def _remote(host: str, use: RemoteUse) -> str:
    retries = ""
    if use.retries:
        retries = f" ({use.retries:,} {'retry' if use.retries == 1 else 'retries'})"
    parts = [
        f"{host}: {counted(use.requests, 'request')}{retries}",
        f"{counted(use.tokens_billed, 'token')} billed",
    ]
    if use.usd is not None:
        parts.append(f"${use.usd:,.4f}")
    if use.paused_seconds >= 0.1:
        parts.append(f"paused {use.paused_seconds:.0f} s at the provider's request")
    return ", ".join(parts)


def _bottleneck(report: RunReport) -> str:
    names = {"read": "reading", "load": "loading", "embed": "embedding", "write": "writing"}
    slowest, *others = sorted(report.busy.items(), key=lambda entry: -entry[1])
    rest = ", ".join(
        f"{names[side]} {share:.0%}" for side, share in others if side != "load" or share >= _SMALL
    )
    return f"bottleneck: {names[slowest[0]]}, busy {slowest[1]:.0%}; {rest}"


def _stages(stages: Mapping[str, float]) -> str:
    shown = [f"{name} {seconds:.1f} s" for name, seconds in stages.items() if seconds >= 0.05]
    return ", ".join(shown) or "every stage under 0.1 s"


def _largest(report: RunReport) -> str:
    """Return a sentence about the files that make up most of the chunks."""
    files = report.largest
    share = sum(file.chunks for file in files) / max(1, report.chunks.total)
    verb = "makes" if len(files) == 1 else "make"
    names = [near(show_path(file.path)) for file in files[:_MAX_LARGEST]]
    more = [f"{len(files) - _MAX_LARGEST} more"] if len(files) > _MAX_LARGEST else []
    return (
        f"{counted(len(files), 'file')} {verb} up {share:.0%} of the chunks: "
        f"{', '.join([*map(printable, names), *more])} (to leave one out: localembed rm PATH)"
    )


def _left_out(notes: Sequence[Note]) -> list[str]:
    """Return lines about files that were indexed until now, with each secret by its name."""
    if not notes:
        return []
    files, verb = counted(len(notes), "file"), "was" if len(notes) == 1 else "were"
    lines = [
        f"{files} that {verb} indexed before left the index: {_reasons(notes)}. "
        "To index such files: localembed index PATH --no-ignore"
    ]
    secrets = [note for note in notes if note.category == "secret"]
    if secrets:
        lines += [f"{near(show_path(n.path))}: {n.reason}" for n in secrets[:_MAX_FAILURES]]
        if len(secrets) > _MAX_FAILURES:
            lines.append(f"and {len(secrets) - _MAX_FAILURES:,} more secrets (--json lists all)")
        lines.append(
            "Older versions still hold the text of these secrets. To free it: localembed versions "
            "gc --keep 0 (it keeps tagged versions)"
        )
    return [wrapped(printable(line), INDENT) for line in lines]


def _reasons(notes: Sequence[Note]) -> str:
    counts = Counter(note.category for note in notes)
    return ", ".join(f"{number:,} {reason}" for reason, number in counts.most_common())


def _encodings(notes: Sequence[EncodingNote]) -> list[str]:
    """Return how many files are not plain Unicode."""
    lines = []
    guessed = Counter(note.encoding for note in notes if note.guessed)
    if guessed:
        names = ", ".join(f"{number:,} {encoding}" for encoding, number in guessed.most_common())
        lines.append(f"encoding of {counted(guessed.total(), 'file')} guessed: {names}")
    bad = [note for note in notes if note.bad_bytes]
    if bad:
        number = counted(sum(note.bad_bytes for note in bad), "invalid byte")
        names = ", ".join(near(show_path(note.path)) for note in bad[:_MAX_NAMED])
        more = f" and {len(bad) - _MAX_NAMED:,} more" if len(bad) > _MAX_NAMED else ""
        lines.append(f"{number} replaced in {counted(len(bad), 'file')}: {names}{more}")
    return lines


def _failures(notes: Sequence[Note]) -> list[str]:
    lines = [
        _in_red(
            wrapped(f"failed: {printable(near(show_path(note.path)))}: {printable(note.reason)}")
        )
        for note in notes[:_MAX_FAILURES]
    ]
    if len(notes) > _MAX_FAILURES:
        lines.append(f"… and {len(notes) - _MAX_FAILURES:,} more (--json lists all)")
    return lines


def _in_red(text: str) -> str:
    """Return text with its first word in red."""
    word, _, rest = text.partition(" ")
    return f"{style(word, fg='red')} {rest}"
