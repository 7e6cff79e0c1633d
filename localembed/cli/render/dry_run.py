"""The estimate of `index --dry-run`, as text and as JSON (docs/json.md)."""

from __future__ import annotations

from localembed.cli.render.text import INDENT, printable, wrapped
from localembed.core.text import counted
from localembed.types.runs import Preview


def preview_text(preview: Preview) -> str:
    """Return the text form of what a run would do."""
    found = preview.estimate
    if not found.embedded:
        return wrapped(
            f"Nothing to embed: {counted(found.files, 'file')} would be read; vectors of "
            f"{counted(found.chunks, 'chunk')} already exist"
        )
    lines = [
        wrapped(
            f"Would read {counted(found.files, 'file')} and embed {found.embedded:,} of "
            f"{counted(found.chunks, 'chunk')}: about {counted(found.tokens, 'token')}"
        )
    ]
    if preview.price.server is None:
        lines.append(
            wrapped(printable(f"with {preview.model} on this machine: nothing is sent"), INDENT)
        )
    else:
        lines.append(wrapped(printable(f"with {preview.model} at {preview.price.server}"), INDENT))
        lines.append(wrapped(", ".join(_remote_cost(preview)), INDENT))
    lines.append(wrapped("Nothing was written or sent", INDENT))
    return "\n".join(lines)


def _remote_cost(preview: Preview) -> list[str]:
    parts = [counted(preview.estimate.requests, "request")]
    if preview.price.minutes is None:
        parts.append("the provider's limits are not known yet")
    else:
        minutes = max(1, round(preview.price.minutes))
        parts.append(f"about {counted(minutes, 'minute')} at the provider's limits")
    if preview.price.usd is None:
        parts.append("price unknown")
    else:
        date = printable(preview.price.price_date or "")
        dated = f" (price as of {date})" if date else ""
        parts.append(f"about ${preview.price.usd:,.4f}{dated}")
    return parts
