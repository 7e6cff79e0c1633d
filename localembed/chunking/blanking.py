"""Blank comments and strings in code, keeping the place of everything else."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from functools import cache

import numpy as np

from localembed.chunking.languages import Braces, Language

_BLANKS = bytes(byte if byte == ord("\n") else ord(" ") for byte in range(256))
_TAG = re.compile(rb"<<<?[~-]?[ \t]*([\"'`]?)\\?(\w+)\1")
_TAG_LINE = re.compile(rb"^[ \t]*(\w+)(?=[ \t;,)]*$)", re.MULTILINE)
_CONDITION = re.compile(rb"\n[ \t]*#[ \t]*(if|el|endif)")
_BRACKETS = np.zeros(256, np.int8)
_BRACKETS[[ord("{"), ord("(")]] = 1
_BRACKETS[[ord("}"), ord(")")]] = -1


def blanked(data: bytes, language: Language) -> bytes:
    """Return code of the same length with blanks for comments and strings, line feeds kept."""
    noise = _compiled(language.noise)
    if language.heredocs and b"<<" in data:
        return _without_heredocs(data, noise)
    clean = noise.sub(_blank, data)
    if isinstance(language, Braces) and language.preprocessor:
        return _one_branch(data, clean)
    return clean


@cache
def _compiled(pattern: str) -> re.Pattern[bytes]:
    return re.compile(pattern.encode())


def _blank(match: re.Match[bytes]) -> bytes:
    return match[0].translate(_BLANKS)


def _without_heredocs(data: bytes, noise: re.Pattern[bytes]) -> bytes:
    """Blank comments, strings, and the lines from below `<<TAG` up to the line `TAG`."""
    ends: defaultdict[bytes, list[int]] = defaultdict(list)
    for line in _TAG_LINE.finditer(data):
        ends[line[1]].append(line.start())
    parts: list[bytes] = []
    done = 0
    line_end = body_end = len(data)  # of the line with a tag, and of the text that it announces
    while match := noise.search(data, done):
        if match.start() > line_end:
            parts += [data[done:line_end], data[line_end:body_end].translate(_BLANKS)]
            done, line_end = body_end, len(data)
            continue
        parts += [data[done : match.start()], _blank(match)]
        done = match.end()
        tag = _TAG.match(data, match.start())
        if tag is None:
            if done > line_end:  # a string goes on below the tag's line
                line_end = len(data)
            continue
        if line_end == len(data):
            line_end = body_end = _line_end(data, done)
        candidates = ends[tag[2]]
        at = bisect_right(candidates, body_end)
        if at < len(candidates):
            body_end = candidates[at] + len(tag[2])
        if body_end <= line_end:
            line_end = len(data)
    if line_end < len(data):
        parts += [data[done:line_end], data[line_end:body_end].translate(_BLANKS)]
        done = body_end
    return b"".join((*parts, data[done:]))


def _line_end(data: bytes, place: int) -> int:
    end = data.find(b"\n", place)
    return len(data) if end < 0 else end


def _one_branch(raw: bytes, data: bytes) -> bytes:
    """Blank the later branches of an `#if` whose first branch leaves a bracket open.

    Each branch would open or close the same bracket once more.

    Args:
        raw: the code.
        data: the code without directives.
    """
    branches = _branches(raw)
    if not branches:
        return data
    code = np.frombuffer(data, np.uint8)
    places = np.flatnonzero(_BRACKETS[code])
    depths = np.concatenate(([0], np.cumsum(_BRACKETS[code[places]], dtype=np.int64)))
    begins, ends = (
        depths[np.searchsorted(places, [branch[side] for branch in branches])] for side in (0, 1)
    )
    changed = bytearray(data)
    done = 0
    for (_, start, end), is_even in sorted(
        zip(branches, (begins == ends).tolist(), strict=True), key=lambda entry: entry[0][1]
    ):
        if not is_even and end > done:
            changed[start:end] = data[start:end].translate(_BLANKS)
            done = end
    return bytes(changed)


def _branches(raw: bytes) -> list[tuple[int, int, int]]:
    """Return where each `#if` with several branches begins, its first branch ends, and it ends."""
    found: list[tuple[int, int, int]] = []
    opened: list[tuple[int, int]] = []  # the last is 0 inside the first branch
    for line in _CONDITION.finditer(raw):
        if line[1] == b"if":
            opened.append((line.end(), 0))
        elif opened and line[1] == b"el":
            start, end = opened[-1]
            opened[-1] = (start, end or line.start())
        elif opened:
            start, end = opened.pop()
            if end:
                found.append((start, end, line.start()))
    return found
