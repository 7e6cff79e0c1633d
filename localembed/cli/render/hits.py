"""Query hits, as text within the terminal's width and as JSON (docs/json.md)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from textwrap import dedent

from localembed.cli.render.output import linked, style
from localembed.cli.render.text import INDENT, clipped, printable, relative, width
from localembed.core.text import counted
from localembed.search.best_line import best_line, distinct, query_words
from localembed.types.queries import SearchHit

_WORD = re.compile(r"\w")
_SNIPPET_LINES = 3


def place(hit: SearchHit) -> str:
    """Return where the best line of a hit is, as `path:line` for editors."""
    return f"{printable(relative(hit.path))}:{hit.line or hit.start_line}"


def folded(hits: Sequence[SearchHit]) -> list[tuple[int, SearchHit, list[SearchHit]]]:
    """Return (rank, hit, others), with duplicates of a hit's text listed as its others."""
    groups: dict[str, tuple[int, SearchHit, list[SearchHit]]] = {}
    for rank, hit in enumerate(hits, start=1):
        words = " ".join(hit.text.split())
        if words in groups:
            groups[words][2].append(hit)
        else:
            groups[words] = (rank, hit, [])
    return list(groups.values())


def hit_text(
    rank: int,
    hit: SearchHit,
    query: str,
    others: Sequence[SearchHit] = (),
    *,
    lines: int = 0,
    explain: bool = False,
) -> str:
    """Return one hit for a terminal: place and score, heading, a snippet with words highlighted.

    Args:
        rank: the hit's rank, from 1.
        hit: the hit to show.
        query: the query whose words are highlighted.
        others: hits with the same text.
        lines: how many lines to show around the best one; if 0, the few that hold most words.
        explain: show how each part of the search scored the hit.
    """
    named = style(place(hit), fg="cyan", bold=True)
    head = f"{rank:>2} {linked(named, hit.path)}  {style(f'{hit.score:.3f}', dim=True)}"
    columns = width() - len(INDENT)
    shown = [head]
    if explain:
        shown.append(INDENT + style(_explained(hit), dim=True))
    if hit.heading:
        shown.append(INDENT + style(clipped(printable(hit.heading), columns), italic=True))
    pattern = query_words(query)
    if lines:
        text = numbered_lines(hit, query, lines)
    else:
        text = snippet(hit.text, pattern, hit.heading.rpartition(" > ")[2])
    shown += [(INDENT + _marked(clipped(line, columns), pattern)).rstrip() for line in text]
    notes = [_further_down(hit)] * bool(hit.also) + [_elsewhere(others)] * bool(others)
    shown += [INDENT + style(clipped(note, columns), dim=True) for note in notes]
    return "\n".join(shown) + "\n"


def numbered_lines(hit: SearchHit, query: str, lines: int) -> list[str]:
    """Return the best line with `lines` before and after it, each behind its number."""
    first = hit.start_line - hit.before.count("\n")
    whole = (hit.before + hit.text + hit.after).split("\n")
    best = hit.start_line - first + best_line(hit.text, query)[0]
    begin, end = max(0, best - lines), min(len(whole), best + lines + 1)
    wide = len(str(first + end - 1))
    return [
        f"{first + place:>{wide}}  {printable(whole[place].expandtabs(4).rstrip())}".rstrip()
        for place in range(begin, end)
    ]


def _further_down(hit: SearchHit) -> str:
    """Return the lines of the other chunks of a hit's file that were found."""
    lines = ", ".join(str(place.start_line) for place in hit.also)
    return f"also at {'line' if len(hit.also) == 1 else 'lines'} {lines}"


def _elsewhere(others: Sequence[SearchHit]) -> str:
    return f"also in {counted(len(others), 'more place')}: {', '.join(map(place, others))}"


def hit_whole(hit: SearchHit) -> str:
    """Return a chunk with its whole text, for `show`."""
    place = f"{printable(relative(hit.path))}:{hit.start_line}-{hit.end_line}"
    about = f"{counted(hit.tokens, 'token')}, id {hit.chunk_id}"
    lines = [f"{style(place, fg='cyan', bold=True)}  {style(about, dim=True)}"]
    if hit.heading:
        lines.append(INDENT + style(printable(hit.heading), italic=True))
    text = hit.text.expandtabs(4).splitlines()
    return "\n".join([*lines, *((INDENT + printable(line)).rstrip() for line in text)]) + "\n"


def _explained(hit: SearchHit) -> str:
    """Return how each part of the search scored a hit."""
    parts = [f"confidence {hit.confidence:.2f}"] if hit.confidence is not None else []
    if hit.similarity:
        rank = f" (rank {hit.vector_rank:,})" if hit.vector_rank else ""
        parts.append(f"cosine {hit.similarity:.3f}{rank}")
    if hit.text_rank:
        parts.append(f"text {hit.text_score:.2f} (rank {hit.text_rank:,})")
    if hit.found_rank:
        parts.append(f"rank {hit.found_rank:,} before reranking")
    return ", ".join(parts) or "no scores"


def snippet(text: str, pattern: re.Pattern[str] | None, title: str = "") -> list[str]:
    """Return the neighbouring lines of a chunk that contain the most distinct query words.

    A line that only repeats `title`, the heading shown above it, is left out.
    """
    lines = [printable(line.expandtabs(4).rstrip()) for line in text.splitlines()]
    lines = [line for line in lines if _WORD.search(line) and line.strip("# ") != title]
    best = 0
    if pattern is not None and len(lines) > _SNIPPET_LINES:
        found = [distinct(line, pattern) for line in lines]
        starts = range(len(lines) - _SNIPPET_LINES + 1)
        best = max(
            starts,
            key=lambda i: (
                len(set().union(*found[i : i + _SNIPPET_LINES])),
                bool(found[i]),
                -i,
            ),
        )
    return dedent("\n".join(lines[best : best + _SNIPPET_LINES])).splitlines()


def _marked(line: str, pattern: re.Pattern[str] | None) -> str:
    if pattern is None:
        return line
    return pattern.sub(lambda match: style(match[0], fg="yellow", bold=True), line)
