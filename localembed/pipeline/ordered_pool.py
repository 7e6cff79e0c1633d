"""Work in several threads whose results come in the order of the items."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    work: Callable[[Item], Result],
    items: Iterable[tuple[int, Item]],
    *,
    threads: int,
    max_weight: int,
) -> Iterator[Result]:
    """Yield `work(item)` for all items, in their order; what it raises is raised in its place.

    Args:
        work: called in any of the threads.
        items: each with its weight; taken as they are needed.
        threads: how many there are.
        max_weight: weight that may be begun and not yet handed over; a heavier item is alone.
    """
    with ThreadPoolExecutor(threads, "localembed-cut") as pool:
        begun: deque[tuple[int, Future[Result]]] = deque()
        heavy = 0
        try:
            for own, item in items:
                while begun and (heavy + own > max_weight or len(begun) > 2 * threads):
                    heavy -= begun[0][0]
                    yield begun.popleft()[1].result()
                begun.append((own, pool.submit(work, item)))
                heavy += own
            while begun:
                yield begun.popleft()[1].result()
        finally:
            for _, future in begun:
                future.cancel()
