"""Three stages at once: while one window is embedded, the next is read and the last is written.

Each stage has one thread and passes on one window at a time, so at most four are in memory. The
calling thread embeds, since Ctrl-C reaches it there. Where a remote model embeds, several windows
are in flight at once, so that one slow answer holds up none of the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar

from localembed.core.cancellation import CancelToken

Window = TypeVar("Window")
Batch = TypeVar("Batch")
Read = TypeVar("Read", contravariant=True)


class Stages(Protocol[Read, Batch]):
    """What happens to a window after it is read."""

    def embed(self, window: Read, /) -> Batch:
        """Return the window with its vectors; called by as many threads as windows in flight."""

    def write(self, batch: Batch, /) -> None:
        """Write a window; called by one thread, in order."""


def run_stages(
    windows: Iterator[Window],
    stages: Stages[Window, Batch],
    token: CancelToken,
    at_once: int = 1,
) -> None:
    """Run every window through all stages, in order.

    What a stage raises is raised here, after the writer has finished what it was given: what was
    embedded is not lost by Ctrl-C or by a file that cannot be read.

    Args:
        windows: read and cut in a thread of their own, one ahead.
        stages: embed in this thread, or in as many others as windows are embedded at once; write
            in a thread of its own, one behind, in order.
        token: cancelled when anything goes wrong, so that reading ahead ends soon.
        at_once: windows that are embedded side by side, where others do the work.
    """
    with (
        ThreadPoolExecutor(1, "localembed-read") as reader,
        ThreadPoolExecutor(1, "localembed-write") as writer,
        ThreadPoolExecutor(at_once, "localembed-embed") as pool,
    ):
        begin = pool.submit if at_once > 1 else _at_once
        begun: deque[Future[Batch]] = deque()
        try:
            upcoming = reader.submit(next, windows, None)
            written: Future[None] | None = None
            while (window := upcoming.result()) is not None or begun:
                if window is not None:
                    upcoming = reader.submit(next, windows, None)
                    begun.append(begin(stages.embed, window))
                if window is None or len(begun) == at_once:
                    batch = begun.popleft().result()
                    if written is not None:
                        written.result()
                    written = writer.submit(stages.write, batch)
            if written is not None:
                written.result()
        except BaseException:
            token.cancel()
            raise


def _at_once(embed: Callable[[Window], Batch], window: Window) -> Future[Batch]:
    """Embed in the calling thread, where Ctrl-C arrives."""
    done: Future[Batch] = Future()
    done.set_result(embed(window))
    return done
