"""Spread hits over files: the best few of each come first, and its others are named beside them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def spread(
    ranked: Sequence[Item], file: Callable[[Item], Hashable], count: int, per_file: int
) -> list[tuple[Item, list[Item]]]:
    """Return the first `count` items that are among the best `per_file` of their file.

    Only if these are too few do the other items follow them. An item that would be among the first
    `count` without this rule is listed beside the best item of its file.

    Args:
        ranked: items, best first.
        file: returns what an item is part of.
        count: maximum number of items.
        per_file: maximum of one file; 0 for no maximum.
    """
    seen: Counter[Hashable] = Counter()
    first: list[int] = []
    later: list[int] = []
    for place, item in enumerate(ranked):
        seen[file(item)] += 1
        (later if 0 < per_file < seen[file(item)] else first).append(place)
    kept = [*first, *later][:count]
    beside: dict[Hashable, list[Item]] = {}
    for place in sorted(set(range(min(count, len(ranked)))) - set(kept)):
        beside.setdefault(file(ranked[place]), []).append(ranked[place])
    return [(ranked[place], beside.pop(file(ranked[place]), [])) for place in kept]


def is_wide(
    found: Sequence[Item], file: Callable[[Item], Hashable], count: int, per_file: int
) -> bool:
    """Tell whether there are `count` items with at most `per_file` of one file."""
    if not per_file:
        return len(found) >= count
    files = Counter(map(file, found))
    return sum(min(n, per_file) for n in files.values()) >= count
