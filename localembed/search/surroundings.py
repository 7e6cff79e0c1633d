"""Assemble the lines around a hit from adjacent chunks, without reading its file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from localembed.store.lance.filters import of_document

if TYPE_CHECKING:
    from localembed.store.lance.candidates import StoredChunk
    from localembed.store.lance.read_rows import ChunkReader


def surroundings(
    reader: ChunkReader, hits: Sequence[StoredChunk], lines: int
) -> list[tuple[str, str]]:
    """Return for each hit the text of up to `lines` lines before it and after it.

    The rest of the line in which the hit begins or ends is added.
    """
    where = " OR ".join(f"({_beside(hit, lines)})" for hit in hits)
    found = reader.find(where) if hits else []
    return [
        _around(hit, (c for c in found if (c.root_id, c.path) == (hit.root_id, hit.path)), lines)
        for hit in hits
    ]


def _beside(hit: StoredChunk, lines: int) -> str:
    """Return the condition for chunks that contain any of the lines around a hit."""
    document = of_document(hit.root_id, hit.path)
    first, last = hit.start_line - lines, hit.end_line + lines
    return f"{document} AND start_line <= {last} AND end_line >= {first}"


def _around(hit: StoredChunk, beside: Iterable[StoredChunk], lines: int) -> tuple[str, str]:
    spans = sorted((_Span(chunk.start, chunk.start_line, chunk.text) for chunk in beside), key=_at)
    begin = _Span(hit.start, hit.start_line, "")
    end = _Span(hit.end, hit.start_line + hit.text.count("\n"), "")
    preceding = [span.until(hit.start) for span in spans if span.start < hit.start]
    following = [span for span in spans if span.end > hit.end]
    before, after = _joined([*preceding, begin]), _joined([end, *following])
    return (
        "\n".join(before.split("\n")[-lines - 1 :]),
        "\n".join(after.split("\n")[: lines + 1]),
    )


@dataclass(frozen=True, slots=True)
class _Span:
    """A span of a document."""

    start: int
    start_line: int
    text: str

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    def until(self, end: int) -> _Span:
        return replace(self, text=self.text[: end - self.start])


def _at(span: _Span) -> int:
    return span.start


def _joined(spans: Sequence[_Span]) -> str:
    """Return the text of sorted spans: overlaps once, gaps between chunks as blanks."""
    text, end, line = "", spans[0].start, spans[0].start_line
    for span in spans:
        if span.start > end:
            text += "\n" * (span.start_line - line) or " " * (span.start - end)
        if span.end >= end:
            text += span.text[max(0, end - span.start) :]
            end, line = span.end, span.start_line + span.text.count("\n")
    return text
