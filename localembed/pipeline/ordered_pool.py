"""Work in several threads, with the results in the order of the items."""

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
    """Yield `work(item)` for all items, in their order; its exceptions are raised in that order.

    Args:
        work: called in any of the threads.
        items: each with its weight; consumed as needed.
        threads: number of threads.
        max_weight: maximum weight of items in progress; a heavier item runs alone.
    """
    with ThreadPoolExecutor(threads, "localembed-chunk") as pool:
        pending: deque[tuple[int, Future[Result]]] = deque()
        total = 0
        try:
            for weight, item in items:
                while pending and (total + weight > max_weight or len(pending) > 2 * threads):
                    total -= pending[0][0]
                    yield pending.popleft()[1].result()
                pending.append((weight, pool.submit(work, item)))
                total += weight
            while pending:
                yield pending.popleft()[1].result()
        finally:
            for _, future in pending:
                future.cancel()
