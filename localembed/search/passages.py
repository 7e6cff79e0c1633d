"""Hits as passages of text, for the prompt of a language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from localembed.types.queries import SearchHit


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


def context_text(hits: Sequence[SearchHit], budget: int) -> str:
    """Return the best passages that fit a budget, with numbered sources; empty if none does.

    Args:
        hits: hits of one query, best first; their paths are shown as they are.
        budget: maximum tokens of the passages together, as the model counts them.
    """
    return "\n".join(
        f"[{number}] {passage.path}:{passage.start_line}-{passage.end_line}\n"
        f"{passage.text.strip()}\n"
        for number, passage in enumerate(merged(packed(hits, budget)), start=1)
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
