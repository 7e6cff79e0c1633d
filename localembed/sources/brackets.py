"""Bracket expressions of ignore files, such as `[a-z]` or `[![:space:]]`, as git reads them."""

from __future__ import annotations

import re

_CLASSES = {
    "alnum": "09AZaz", "alpha": "AZaz", "blank": "\t\t  ", "cntrl": "\x00\x1f\x7f\x7f",
    "digit": "09", "graph": "!~", "lower": "az", "print": " ~", "punct": "!/:@[`{~",
    "space": "\t\n\r\r  ", "upper": "AZ", "xdigit": "09AFaf",
}  # fmt: skip
"""First and last character of each range of a class; git's spaces are fewer than those of C."""

_Range = tuple[str, str]


def bracket(pattern: str, at: int, *, ignore_case: bool) -> tuple[str, int] | None:
    """Return the expression of a bracket and the place behind it, None if it is invalid.

    Args:
        pattern: the pattern.
        at: place behind the opening bracket.
        ignore_case: whether texts to match come in lower case.
    """
    negated = pattern[at : at + 1] in ("!", "^")
    at += negated
    first = at
    ranges: list[_Range] = []
    before = ""  # the character that can begin a range
    while at < len(pattern) and (pattern[at] != "]" or at == first):
        if pattern.startswith("[:", at):
            end = pattern.find("]", at + 2)
            if end < 0:
                return None
            if end > at + 2 and pattern[end - 1] == ":":
                name = pattern[at + 2 : end - 1]
                if name not in _CLASSES:
                    return None
                ranges += _class_ranges(name, ignore_case=ignore_case)
                before, at = "", end + 1
                continue
        is_range = pattern[at] == "-" and before != "" and pattern[at + 1 : at + 2] not in ("", "]")
        at += is_range
        at += pattern[at] == "\\"
        if at >= len(pattern):
            return None
        letter = pattern[at]
        at += 1
        if is_range:
            ranges += _letter_ranges(before, letter, ignore_case=ignore_case)
        else:
            ranges.append((letter, letter))
        before = "" if is_range else letter
    return (_expression(ranges, negated=negated), at + 1) if at < len(pattern) else None


def _class_ranges(name: str, *, ignore_case: bool) -> list[_Range]:
    ends = _CLASSES["alpha" if name == "upper" and ignore_case else name]
    return list(zip(ends[::2], ends[1::2], strict=True))


def _letter_ranges(first: str, last: str, *, ignore_case: bool) -> list[_Range]:
    """Return the ranges from a letter to another: also in lower case if case is ignored."""
    ranges = [(first, last)]
    if ignore_case:
        ranges.append((max(first, "A").lower(), min(last, "Z").lower()))
        if first > "Z" or last < "A":
            ranges.pop()
    return [(low, high) for low, high in ranges if low <= high]


def _expression(ranges: list[_Range], *, negated: bool) -> str:
    """Return the expression of ranges, which never match a slash."""
    members = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in ranges)
    if negated:
        return f"[^/{members}]"
    if not members:
        return "(?!)"
    has_slash = any(low <= "/" <= high for low, high in ranges)
    return ("(?!/)" if has_slash else "") + f"[{members}]"
