"""Query hits for other programs: an editor's quickfix list, Markdown, a prompt's context."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from localembed.cli.render.hits import best_line
from localembed.cli.render.text import near, printable
from localembed.types.queries import SearchHit


def vimgrep(hit: SearchHit, query: str) -> str:
    """Return `path:line:column:text` of the best line."""
    offset, line = best_line(hit.text, query)
    column = len(line) - len(line.lstrip()) + 1
    return f"{printable(near(hit.path))}:{hit.start_line + offset}:{column}:{printable(line)}"


def markdown(rank: int, hit: SearchHit) -> str:
    """Return a section with the whole text, and any lines around it.

    The fence has more backticks than any in the text.
    """
    text = hit.before + hit.text + hit.after
    first = hit.start_line - hit.before.count("\n")
    last = hit.end_line + hit.after.count("\n")
    longest = max(map(len, re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    heading = f"{printable(hit.heading)} · " if hit.heading else ""
    return (
        f"## {rank}. {_place(hit.path, first, last)}\n\n"
        f"{heading}score {hit.score:.3f}\n\n{fence}\n{text.rstrip()}\n{fence}\n"
    )


@dataclass(frozen=True, slots=True)
class Passage:
    """Neighbouring hits of one document as one text."""

    path: str
    start: int
    end: int
    start_line: int
    end_line: int
    text: str
    rank: int
    """Rank of the best hit, from 0."""


def context(hits: Sequence[SearchHit], budget: int) -> str:
    """Return the best passages that fit a budget of the model's tokens, with numbered sources."""
    passages = merged(packed(hits, budget))
    return "\n".join(
        f"[{number}] {_place(passage.path, passage.start_line, passage.end_line)}\n"
        f"{passage.text.strip()}\n"
        for number, passage in enumerate(passages, start=1)
    )


def packed(hits: Sequence[SearchHit], budget: int) -> list[tuple[int, SearchHit]]:
    """Return (rank from 0, hit) of the best hits that fit together."""
    chosen: list[tuple[int, SearchHit]] = []
    for place, hit in enumerate(hits):
        if hit.tokens <= budget:
            chosen.append((place, hit))
            budget -= hit.tokens
    return chosen


def merged(hits: Sequence[tuple[int, SearchHit]]) -> list[Passage]:
    """Return passages, best first; adjacent or overlapping hits of a document become one."""
    passages: list[Passage] = []
    for place, hit in sorted(hits, key=lambda entry: (entry[1].path, entry[1].start)):
        last = passages[-1] if passages else None
        if last is None or last.path != hit.path or hit.start > last.end:
            passages.append(
                Passage(hit.path, hit.start, hit.end, hit.start_line, hit.end_line, hit.text, place)
            )
            continue
        longer = hit.end > last.end
        passages[-1] = Passage(
            path=last.path,
            start=last.start,
            end=max(last.end, hit.end),
            start_line=last.start_line,
            end_line=max(last.end_line, hit.end_line),
            text=last.text + hit.text[last.end - hit.start :] if longer else last.text,
            rank=min(last.rank, place),
        )
    return sorted(passages, key=lambda passage: passage.rank)


def _place(path: str, first: int, last: int) -> str:
    return f"{printable(near(path))}:{first}-{last}"
