"""Query hits for other programs: an editor's quickfix list, Markdown, a prompt's context."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from localembed.cli.render.text import printable, relative
from localembed.search.best_line import best_line
from localembed.search.passages import context_text
from localembed.types.queries import SearchHit


def vimgrep(hit: SearchHit, query: str) -> str:
    """Return `path:line:column:text` of the best line."""
    offset, line = best_line(hit.text, query)
    column = len(line) - len(line.lstrip()) + 1
    return f"{printable(relative(hit.path))}:{hit.start_line + offset}:{column}:{printable(line)}"


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


def context(hits: Sequence[SearchHit], budget: int) -> str:
    """Return the best passages that fit a budget of the model's tokens, with numbered sources."""
    shown = [replace(hit, path=printable(relative(hit.path))) for hit in hits]
    return context_text(shown, budget)


def _place(path: str, first: int, last: int) -> str:
    return f"{printable(relative(path))}:{first}-{last}"
