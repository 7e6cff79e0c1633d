"""Rank the line ends of prose: wrapped lines, list items and the terms of definition lists."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from localembed.chunking.boundaries import BLANK_LINE_INDENTED, CONTINUED_LINE, LINE

if TYPE_CHECKING:
    from localembed.chunking.boundaries import RankArray
    from localembed.chunking.tokens import DocumentTokens

_ITEM = re.compile(r"(?:[-*+•]|\(?(?:\d{1,3}|[a-zA-Z#])[.)])[ \t]+\S")


def rank_lines(ranks: RankArray, tokens: DocumentTokens, text: str) -> None:
    """Prefer the boundary before a list item to other lines; avoid those inside a sentence."""
    feeds = tokens.start_lines[1:] - tokens.end_lines[:-1]
    at_line = 1 + np.flatnonzero((feeds == 1) & (ranks[1:] == LINE))
    for index, start in zip(at_line.tolist(), tokens.starts[at_line].tolist(), strict=True):
        if _ITEM.match(text, start):
            ranks[index] = BLANK_LINE_INDENTED
        elif text[start : start + 1].islower():  # a token of nothing may stand at the end
            ranks[index] = CONTINUED_LINE
